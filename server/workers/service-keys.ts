// Which worker a service key belongs to.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { AppError } from "../lib/errors.ts";
import type { ServiceCaller } from "./workers.types.ts";

/**
 * Returns a function that identifies the worker by its key and throws UNAUTHENTICATED for an unknown one. It keeps keys
 * as HMACs under a secret of this process, so that neither a dump of them nor the timing of comparisons reveals a key.
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
    // Compare with all of them, even after a match, so that the timing does not reveal the position in the list.
    for (const known of callers)
      if (timingSafeEqual(known.digest, offered)) caller = { name: known.name };
    if (bearer === null || caller === null)
      throw AppError.of("UNAUTHENTICATED", "This needs a service key.");
    return caller;
  };
}
