// Resources that a suite opens before its first test and closes after its last.
import { afterAll, beforeAll } from "vitest";

/**
 * Returns what `open` opens for the current suite. Its members exist once the suite's own hooks run. Closed at the end
 * if it has a `close`.
 */
export function use<T extends object>(open: () => Promise<T>): T {
  const opened = {} as T & { close?(): Promise<void> };
  beforeAll(async () => {
    Object.assign(opened, await open());
  });
  afterAll(() => opened.close?.());
  return opened;
}
