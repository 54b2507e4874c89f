// Ledger operations as tests hand them in: whole, though a test names only what matters to it.
import type { IdempotencyKey } from "../../server/ledger/idempotency-key.ts";
import type {
  GrantOperation,
  ReserveOperation,
  SpendOperation,
} from "../../server/ledger/ports.ts";

/** `text` as a key, whatever it looks like: the one way past the scopes of idempotency keys. */
export const rawKey = (text: string) => text as IdempotencyKey;

export const spend = (
  userId: string,
  key: string,
  amountCredits = 1,
  more: Partial<SpendOperation> = {},
): SpendOperation => ({
  kind: "spend",
  userId,
  feature: "chat-flash",
  amountCredits,
  priceVersion: "v1",
  idempotencyKey: rawKey(key),
  ...more,
});

/** A hold, of ten minutes unless told otherwise. */
export const reserve = (
  userId: string,
  key: string,
  amountCredits: number,
  more: Partial<ReserveOperation> = {},
): ReserveOperation => ({
  kind: "reserve",
  userId,
  feature: "chat-pro",
  amountCredits,
  priceVersion: "v1",
  idempotencyKey: rawKey(key),
  ttlSeconds: 600,
  ...more,
});

/** Bought credits that never expire, unless told otherwise. */
export const grant = (
  userId: string,
  grantKey: string,
  amountCredits: number,
  more: Partial<GrantOperation> = {},
): GrantOperation => ({
  kind: "grant",
  userId,
  amountCredits,
  source: "PURCHASE",
  sourceId: null,
  grantKey,
  expiresAt: null,
  description: "A grant",
  ...more,
});

/** The credits that somebody who signs up is given, as the sign-in hands them to the ledger. */
export const welcomeGrant = (userId: string, amountCredits: number): GrantOperation =>
  grant(userId, `signup:${userId}`, amountCredits, { source: "SIGNUP", description: "Welcome" });
