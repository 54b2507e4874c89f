// Complete ledger operations for tests that specify only what matters to them.
import type { IdempotencyKey } from "../../server/ledger/idempotency-key.ts";
import type {
  GrantOperation,
  ReserveOperation,
  SpendOperation,
} from "../../server/ledger/ports.ts";

/** Uses any `text` as an idempotency key: the only way around the scopes of keys. */
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

/** A hold; its TTL defaults to ten minutes. */
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

/** Purchased credits; by default they never expire. */
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

/** The credits granted on sign-up, as the sign-in passes them to the ledger. */
export const welcomeGrant = (userId: string, amountCredits: number): GrantOperation =>
  grant(userId, `signup:${userId}`, amountCredits, { source: "SIGNUP", description: "Welcome" });
