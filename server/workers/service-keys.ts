// Which worker a service key belongs to.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { AppError } from "../lib/errors.ts";
import type { ServiceCaller } from "./workers.types.ts";

/**
 * Returns what tells the worker by its key, and throws UNAUTHENTICATED where it is nobody's. Keys are kept as HMACs under
 * a secret of this process: neither a dump nor a guess by time reveals them.
 */
export function createAuthenticate(
  keys: readonly { readonly name: string; readonly key: string }[],
): (bearer: string | null) => ServiceCaller {
  const pepper = randomBytes(32);
  const digest = (key: string) => createHmac("sha256", pepper).update(key).digest();
  const callers = keys.map(({ name, key }) => ({ name, digest: digest(key) }));
  return (bearer) => {
    const offered = digest(bearer ?? "");
    let caller: ServiceCaller | null = null;
    // All of them, whichever fits, so that the time says nothing about the place in the list.
    for (const known of callers)
      if (timingSafeEqual(known.digest, offered)) caller = { name: known.name };
    if (bearer === null || caller === null)
      throw AppError.of("UNAUTHENTICATED", "This needs a service key.");
    return caller;
  };
}
