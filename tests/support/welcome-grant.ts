// The credits that somebody who signs up is given, as the sign-in hands them to the ledger.
import type { GrantOperation } from "../../server/ledger/ports.ts";

/** `amountCredits` for the new `userId`; they do not expire. */
export function welcomeGrant(userId: string, amountCredits: number): GrantOperation {
  return {
    kind: "grant",
    userId,
    amountCredits,
    source: "SIGNUP",
    sourceId: null,
    grantKey: `signup:${userId}`,
    expiresAt: null,
    description: "Welcome",
  };
}
