// The app of a suite: open from its first test to its last.
import { afterAll, beforeAll } from "vitest";
import { openTestApp, type TestApp, type TestAppOptions } from "./server.ts";
import { openShop, type Shop, type ShopOptions } from "./shop.ts";

/** An app for the suite at hand. Its members are there from the suite's first hook on. */
export const useTestApp = (options: TestAppOptions): TestApp => use(() => openTestApp(options));

/** A shop for the suite at hand. */
export const useShop = (options: ShopOptions): Shop => use(() => openShop(options));

function use<T extends TestApp>(open: () => Promise<T>): T {
  const app = {} as T;
  beforeAll(async () => {
    Object.assign(app, await open());
  });
  afterAll(() => app.close());
  return app;
}
