// Which worker a service key belongs to.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { AppError } from "../lib/errors.ts";
import type { ServiceCaller } from "./workers.types.ts";

/** Service keys as this process keeps them. */
export interface ServiceKeys {
  /** Returns the worker whose key `bearer` is. Throws UNAUTHENTICATED. */
  authenticate(bearer: string | null): ServiceCaller;
}

/** Keeps keys as HMACs under a secret of this process: neither a dump nor a guess by time reveals them. */
export function createServiceKeys(
  keys: readonly { readonly name: string; readonly key: string }[],
): ServiceKeys {
  const pepper = randomBytes(32);
  const digest = (key: string) => createHmac("sha256", pepper).update(key).digest();
  const callers = keys.map(({ name, key }) => ({ name, digest: digest(key) }));
  return {
    authenticate(bearer) {
      const offered = digest(bearer ?? "");
      let caller: ServiceCaller | null = null;
      // All of them, whichever fits, so that the time says nothing about the place in the list.
      for (const known of callers)
        if (timingSafeEqual(known.digest, offered)) caller = { name: known.name };
      if (bearer === null || caller === null)
        throw AppError.of("UNAUTHENTICATED", "This needs a service key.");
      return caller;
    },
  };
}
