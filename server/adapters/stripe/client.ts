// How the adapter calls Stripe: one bounded call, one idempotent write, and a list read page by page.
import type Stripe from "stripe";
import type { StripePort } from "../../payment/stripe/port.ts";
import { type CallLimits, type CallOptions, callStripe } from "./calls.ts";
import { readList } from "./parse.ts";
import { type Write, writeStripe } from "./idempotent-write.ts";

/** Items per page: the most Stripe allows. */
export const PAGE = 100;
/** Bounds the lists of one object's refunds, disputes or subscriptions, far above what occurs. */
const MAX_PAGES = 10;

/** Stripe's SDK with the limits of every call. */
export interface StripeClient {
  readonly sdk: Stripe;
  /** See callStripe. */
  call<T>(
    name: string,
    run: (options: CallOptions) => Promise<unknown>,
    read: (answer: unknown) => T,
  ): Promise<T>;
  /** See writeStripe. */
  write<T>(write: Write<T>): Promise<T>;
}

/** One method of the port (documented there), taking a client. */
export type StripeCall<Name extends keyof StripePort> = (
  client: StripeClient,
  ...args: Parameters<StripePort[Name]>
) => ReturnType<StripePort[Name]>;

/** Returns a client whose calls observe `limits`. */
export function createStripeClient(sdk: Stripe, limits: CallLimits): StripeClient {
  return {
    sdk,
    call: (name, run, read) => callStripe(name, limits, run, read),
    write: (write) => writeStripe(limits, write),
  };
}

/** A list at Stripe. */
interface List<T> {
  readonly name: string;
  readonly run: (
    page: { limit: number; starting_after?: string },
    options: CallOptions,
  ) => Promise<unknown>;
  readonly read: (item: unknown) => T;
  /** The id to start after; defaults to the start of the list. */
  readonly after?: string;
  /** Defaults to ten pages. */
  readonly max?: number;
}

/** Returns a list's items, at most `max`. */
export async function listAll<T extends { id: string }>(
  client: StripeClient,
  { name, run, read, after, max = PAGE * MAX_PAGES }: List<T>,
): Promise<T[]> {
  const found: T[] = [];
  while (found.length < max) {
    const last = found.at(-1)?.id ?? after;
    const page = {
      limit: Math.min(PAGE, max - found.length),
      ...(last === undefined ? {} : { starting_after: last }),
    };
    const { items, more } = await client.call(
      name,
      (options) => run(page, options),
      (answer) => readList(answer, read),
    );
    found.push(...items);
    if (!more || items.length === 0) break;
  }
  return found;
}

/** Returns a moment as Stripe writes it. */
export function unixSeconds(moment: Date): number {
  return Math.floor(moment.getTime() / 1000);
}
