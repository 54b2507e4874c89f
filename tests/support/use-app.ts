// The app of a suite: open from its first test to its last.
import type { AvailableBackend, OpenedBackend } from "./databases.ts";
import { openTestApp, type TestApp, type TestAppOptions } from "./server.ts";
import { openShop, type Shop, type ShopOptions } from "./shop.ts";
import { use } from "./use.ts";

/** Opens an app for the current suite. */
export const useTestApp = (options: TestAppOptions): TestApp => use(() => openTestApp(options));

/** Opens a shop for the current suite. */
export const useShop = (options: ShopOptions): Shop => use(() => openShop(options));

/** Opens a back end for the current suite, without an app. */
export const useBackend = (available: AvailableBackend): OpenedBackend =>
  use(() => available.open());
