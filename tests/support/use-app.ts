// The app of a suite: open from its first test to its last.
import type { AvailableBackend, OpenedBackend } from "./databases.ts";
import { openTestApp, type TestApp, type TestAppOptions } from "./server.ts";
import { openShop, type Shop, type ShopOptions } from "./shop.ts";
import { use } from "./use.ts";

/** An app for the suite at hand. */
export const useTestApp = (options: TestAppOptions): TestApp => use(() => openTestApp(options));

/** A shop for the suite at hand. */
export const useShop = (options: ShopOptions): Shop => use(() => openShop(options));

/** A back end for the suite at hand, without an app. */
export const useBackend = (available: AvailableBackend): OpenedBackend =>
  use(() => available.open());
