// Hand-made accounts and operations for tests of a single rule.
import type { Account, Lot } from "../../server/ledger/model/account.ts";
import type { OperationContext } from "../../server/ledger/model/operation-effect.ts";
import type { SpendOperation, ReserveOperation } from "../../server/ledger/ports.ts";
import { reserve, spend } from "./operations.ts";

/** The default time of every operation. */
export const NOW = 1_700_000_000_000;
/** The owner of the accounts. */
export const userId = "user";

/** A purchased lot; by default it never expires. */
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

/** An account with these lots. */
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

/** The context of an operation. The ids it generates are derived from the operation's id. */
export const context = (operationId: string, nowMs = NOW): OperationContext => ({
  operationId,
  nowMs,
  newId: () => `${operationId}-new`,
  storedKey: undefined,
  storedGrant: undefined,
});

/** A spend on chat-pro. */
export const spending = (amountCredits: number, more: Partial<SpendOperation> = {}) =>
  spend(userId, "s", amountCredits, { feature: "chat-pro", ...more });

/** A hold with a TTL of one minute. */
export const reserving = (amountCredits: number, more: Partial<ReserveOperation> = {}) =>
  reserve(userId, "ai:h", amountCredits, { ttlSeconds: 60, ...more });

/** Returns the remaining credits of each lot. */
export const remaining = (account: Account): Record<string, number> =>
  Object.fromEntries(account.lots.map((one) => [one.id, one.remaining]));
