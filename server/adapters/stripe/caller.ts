// Owns the ways the adapter asks Stripe: one bounded call, one write, and a list walked page by page.
import { type CallLimits, callStripe } from "./calls.ts";
import { readList } from "./parse.ts";
import { type Write, writeStripe } from "./write.ts";

export const PAGE = 100;
/** Refunds, disputes, subscriptions of one object: a bound, far above what happens. */
const MAX_PAGES = 10;

/** What the SDK is told with each call. */
interface CallOptions {
  timeout: number;
  maxNetworkRetries: 0;
}

/** The three ways. */
export interface Asking {
  call<T>(
    name: string,
    run: (options: CallOptions) => Promise<unknown>,
    read: (answer: unknown) => T,
  ): Promise<T>;
  /** See writeStripe. */
  write<T>(write: Write<T>): Promise<T>;
  /** Until the list ends or `max` items are there. */
  listAll<T extends { id: string }>(
    name: string,
    run: (
      page: { limit: number; starting_after?: string },
      options: CallOptions,
    ) => Promise<unknown>,
    read: (item: unknown) => T,
    max?: number,
  ): Promise<T[]>;
}

/** Makes them within `limits`. */
export function createAsking(limits: CallLimits): Asking {
  const call: Asking["call"] = (name, run, read) => callStripe(name, limits, run, read);
  return {
    call,
    write: (write) => writeStripe(limits, write),
    listAll: async <T extends { id: string }>(
      name: string,
      run: (
        page: { limit: number; starting_after?: string },
        options: CallOptions,
      ) => Promise<unknown>,
      read: (item: unknown) => T,
      max = PAGE * MAX_PAGES,
    ) => {
      const found: T[] = [];
      while (found.length < max) {
        const last = found.at(-1);
        const page = {
          limit: Math.min(PAGE, max - found.length),
          ...(last === undefined ? {} : { starting_after: last.id }),
        };
        const { items, more } = await call(
          name,
          (options) => run(page, options),
          (answer) => readList(answer, read),
        );
        found.push(...items);
        if (!more || items.length === 0) break;
      }
      return found;
    },
  };
}
