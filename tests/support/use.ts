// What a suite opens before its first test and closes after its last.
import { afterAll, beforeAll } from "vitest";

/** What `open` opens, for the suite at hand: its members are there from the suite's own hooks on. Closed if it can be. */
export function use<T extends object>(open: () => Promise<T>): T {
  const opened = {} as T & { close?(): Promise<void> };
  beforeAll(async () => {
    Object.assign(opened, await open());
  });
  afterAll(() => opened.close?.());
  return opened;
}
