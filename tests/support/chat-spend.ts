// The smallest spend there is.
import type { SpendOperation } from "../../server/ledger/ports.ts";
import { rawKey } from "./raw-key.ts";

/** A spend of one credit. */
export function spend(userId: string, key: string): SpendOperation {
  return {
    kind: "spend",
    userId,
    feature: "chat-flash",
    amountCredits: 1,
    priceVersion: "v1",
    idempotencyKey: rawKey(key),
  };
}
