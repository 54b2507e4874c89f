// Accounts and operations made by hand, for tests of one rule at a time.
import type { Account, Lot } from "../../server/ledger/model/account.ts";
import type { OperationContext } from "../../server/ledger/model/operation-effect.ts";
import type { SpendOperation, ReserveOperation } from "../../server/ledger/ports.ts";
import { reserve, spend } from "./operations.ts";

/** The moment every operation happens at unless told otherwise. */
export const NOW = 1_700_000_000_000;
/** Whose account it is. */
export const userId = "user";

/** A bought lot that never expires, unless told otherwise. */
export const lot = (id: string, remaining: number, more: Partial<Lot> = {}): Lot => ({
  id,
  userId,
  amount: remaining,
  remaining,
  source: "PURCHASE",
  sourceId: null,
  grantKey: `grant:${id}`,
  expiresAtMs: null,
  createdAtMs: NOW - 1_000,
  ...more,
});

/** An account of these lots. */
export const accountWith = (lots: readonly Lot[], more: Partial<Account> = {}): Account => ({
  userId,
  credits: lots.reduce((sum, { remaining }) => sum + remaining, 0),
  held: 0,
  seq: 0,
  rolledSeq: 0,
  counts: {},
  deleted: false,
  disabled: false,
  lots,
  holds: [],
  ...more,
});

/** What an operation is told beside the account; its id names what it makes. */
export const context = (operationId: string, nowMs = NOW): OperationContext => ({
  operationId,
  nowMs,
  newId: () => `${operationId}-new`,
  storedKey: undefined,
  storedGrant: undefined,
});

/** A spend of chat-pro. */
export const spending = (amountCredits: number, more: Partial<SpendOperation> = {}) =>
  spend(userId, "s", amountCredits, { feature: "chat-pro", ...more });

/** A hold of a minute. */
export const reserving = (amountCredits: number, more: Partial<ReserveOperation> = {}) =>
  reserve(userId, "ai:h", amountCredits, { ttlSeconds: 60, ...more });

/** What is left of each lot. */
export const remaining = (account: Account): Record<string, number> =>
  Object.fromEntries(account.lots.map((one) => [one.id, one.remaining]));
