// What administrators may do. Every write leaves an audit line: who, what, why.
import type { Principal } from "../auth/auth.types.ts";
import { invalidField, isAppError } from "../lib/errors.ts";
import { createBulkhead, type Bulkhead } from "../lib/bulkhead.ts";
import { DAY_MS } from "../lib/time.ts";
import { scopedKey } from "../ledger/idempotency-key.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { Logger } from "../lib/logger.ts";
import type { AuditLine } from "../database/ports.ts";
import type { AdminInput, AdminOutput, UserLine } from "./admin.types.ts";
import type { PaymentService } from "../payment/payment.service.ts";
import type { AdminStore } from "./ports.ts";
import { logWrite } from "./write-log.ts";

type Read<Name extends keyof AdminService> = (
  input: AdminInput<Name>,
) => Promise<AdminOutput<Name>>;
type Write<Name extends keyof AdminService> = (
  principal: Principal,
  input: AdminInput<Name>,
  ip: string | null,
) => Promise<AdminOutput<Name>>;

/** The `admin` procedures. `ip` is the administrator's address, for the audit line. */
export interface AdminService {
  /** Newest first. `search` matches part of an id, e-mail or name. SERVICE_UNAVAILABLE if too many searches wait. */
  readonly users: Read<"users">;
  readonly user: Read<"user">;
  readonly adjustCredits: Write<"adjustCredits">;
  readonly setRole: Write<"setRole">;
  readonly disableUser: Write<"disableUser">;
  readonly enableUser: Write<"enableUser">;
  readonly refundPayment: Write<"refundPayment">;
  readonly events: Read<"events">;
  readonly replayEvent: Write<"replayEvent">;
  /**
   * Statistics for `from`..`to`. A bound before the current quarter-hour is moved outwards to a whole quarter-hour; the
   * result holds the bounds used. Defaults to the last 30 days. VALIDATION_FAILED if `from` is before 1970, after `to`,
   * or more than 366 days before it; SERVICE_UNAVAILABLE or RATE_LIMITED if too many calls wait.
   */
  readonly stats: Read<"stats">;
}

/** Dependencies of the service. */
export interface AdminServiceDeps {
  readonly store: AdminStore;
  readonly payments: Pick<PaymentService, "refundPayment" | "listEvents" | "replayEvent">;
  readonly ledger: Pick<Ledger, "changed">;
  /** CreditService.history. */
  readonly creditHistory: (
    userId: string,
    page: { readonly limit: number; readonly cursor?: string },
  ) => Promise<AdminOutput<"user">["history"]>;
  /** AuthService.invalidateSessions. */
  readonly invalidateSessions: () => Promise<void>;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

type Deps = AdminServiceDeps & {
  readonly statsBulkhead: Bulkhead;
  readonly searchBulkhead: Bulkhead;
};

const STATS_DAYS = 30;
const MAX_STATS_DAYS = 366;
/** Statistics read much of the database, so they run one at a time per instance; others wait. */
const STATS_BULKHEAD = { concurrency: 1, perKey: 21, maxQueue: 20, maxWaitMs: 15_000 };

/** Entries of the credit history per page. */
const HISTORY_PAGE = 20;
/** A search reads many accounts, so two run at a time per instance; others wait. */
const SEARCH_BULKHEAD = { concurrency: 2, perKey: 22, maxQueue: 20, maxWaitMs: 10_000 };

/** Returns the service; nothing is read until it is used. */
export function createAdminService(options: AdminServiceDeps): AdminService {
  const deps = {
    ...options,
    statsBulkhead: createBulkhead(STATS_BULKHEAD),
    searchBulkhead: createBulkhead(SEARCH_BULKHEAD),
  };
  const { payments } = deps;
  return {
    users: (filter) => readUsers(deps, filter),
    user: (input) => readUserPage(deps, input),
    adjustCredits: (principal, input, ip) => adjustCredits(deps, principal, input, ip),
    setRole: (principal, input, ip) => setRole(deps, principal, input, ip),
    disableUser: (principal, input, ip) => {
      const line = userLine("user.disable", principal, input, ip);
      return setDisabled(deps, new Date(deps.now()), input, line);
    },
    enableUser: (principal, input, ip) =>
      setDisabled(deps, null, input, userLine("user.enable", principal, input, ip)),
    refundPayment: (principal, input, ip) => refundPayment(deps, principal, input, ip),
    events: (filter) => payments.listEvents(filter),
    replayEvent: (principal, input, ip) => replayEvent(deps, principal, input, ip),
    stats: (range) => readStats(deps, range),
  };
}

/** Returns the audit line of a change to one user. */
function userLine(
  action: string,
  { userId: actorId }: Principal,
  { userId: targetId, reason = null }: { userId: string; reason?: string | null | undefined },
  ip: string | null,
): AuditLine {
  return { actorId, ip, action, targetType: "user", targetId, reason };
}

async function adjustCredits(
  deps: Deps,
  principal: Principal,
  input: AdminInput<"adjustCredits">,
  ip: string | null,
): Promise<AdminOutput<"adjustCredits">> {
  const { userId, amount, reason, idempotencyKey, expiresAt } = input;
  const line: AuditLine = {
    ...userLine("credits.adjust", principal, input, ip),
    detail: { amount, idempotencyKey },
  };
  const adjustment = deps.store.adjust(
    {
      kind: "adjust",
      userId,
      amountCredits: amount,
      actorId: principal.userId,
      reason,
      idempotencyKey: scopedKey("admin", idempotencyKey),
      expiresAt: expiresAt === undefined ? null : new Date(expiresAt),
    },
    line,
  );
  return announced(logWrite(deps.logger, line, adjustment), () => deps.ledger.changed([userId]));
}

/** Awaits `write`, then calls `announce`: also if the response to COMMIT was lost, because all may be written. */
async function announced<T>(write: Promise<T>, announce: () => Promise<void>): Promise<T> {
  const result = await write.catch(async (error: unknown) => {
    if (isAppError(error, "SERVICE_UNAVAILABLE")) await announce();
    throw error;
  });
  await announce();
  return result;
}

async function setRole(
  deps: Deps,
  principal: Principal,
  input: AdminInput<"setRole">,
  ip: string | null,
): Promise<{ user: UserLine }> {
  const line: AuditLine = {
    ...userLine("user.setRole", principal, input, ip),
    detail: { role: input.role },
  };
  const change = deps.store.setRole(input.userId, input.role, line);
  return { user: await announced(logWrite(deps.logger, line, change), deps.invalidateSessions) };
}

async function setDisabled(
  deps: Deps,
  disabledAt: Date | null,
  { userId }: AdminInput<"disableUser">,
  line: AuditLine,
): Promise<{ user: UserLine }> {
  const change = deps.store.setDisabled(userId, disabledAt, line);
  return { user: await announced(logWrite(deps.logger, line, change), deps.invalidateSessions) };
}

async function refundPayment(
  { store, payments, logger }: Deps,
  { userId: actorId }: Principal,
  input: AdminInput<"refundPayment">,
  ip: string | null,
): Promise<AdminOutput<"refundPayment">> {
  const { paymentId, amount, idempotencyKey, reason } = input;
  const line: AuditLine = {
    actorId,
    ip,
    action: "payment.refund",
    targetType: "payment",
    targetId: paymentId,
    reason: reason ?? null,
    detail: { amount: amount ?? null, idempotencyKey },
  };
  // The refund happens at Stripe, so one transaction cannot cover both. Record the intent before the money moves.
  const refund = store.audit(line).then(() =>
    payments.refundPayment({
      paymentId,
      amountMinorUnits: amount,
      idempotencyKey,
      reason,
      actorId,
    }),
  );
  return logWrite(logger, line, refund);
}

async function replayEvent(
  { store, payments, logger }: Deps,
  { userId: actorId }: Principal,
  { eventId }: AdminInput<"replayEvent">,
  ip: string | null,
): Promise<AdminOutput<"replayEvent">> {
  const line: AuditLine = {
    actorId,
    ip,
    action: "event.replay",
    targetType: "event",
    targetId: eventId,
    reason: null,
  };
  const replay = store.audit(line).then(() => payments.replayEvent(eventId));
  return logWrite(logger, line, replay);
}

async function readUsers(
  { store, searchBulkhead }: Deps,
  filter: AdminInput<"users">,
): Promise<AdminOutput<"users">> {
  const isSearch = (filter.search ?? "") !== "";
  return isSearch ? searchBulkhead.run("users", () => store.users(filter)) : store.users(filter);
}

async function readStats(
  { store, statsBulkhead, now }: Deps,
  range: AdminInput<"stats">,
): Promise<AdminOutput<"stats">> {
  const to = range.to === undefined ? new Date(now()) : new Date(range.to);
  const from =
    range.from === undefined ? new Date(to.getTime() - STATS_DAYS * DAY_MS) : new Date(range.from);
  if (from.getTime() < 0)
    throw invalidField(range.from === undefined ? "to" : "from", "Use a year from 1970 on.");
  if (from > to)
    throw invalidField("from", "Must not be after `to`.", "`from` must not be after `to`.");
  if (to.getTime() - from.getTime() > MAX_STATS_DAYS * DAY_MS)
    throw invalidField(
      "from",
      `At most ${MAX_STATS_DAYS} days before \`to\`.`,
      `At most ${MAX_STATS_DAYS} days at once.`,
    );
  return statsBulkhead.run("stats", () => store.stats(from, to));
}

async function readUserPage(
  { store, creditHistory }: AdminServiceDeps,
  { userId, historyCursor }: AdminInput<"user">,
): Promise<AdminOutput<"user">> {
  const [detail, { logs, nextCursor }] = await Promise.all([
    store.user(userId),
    creditHistory(userId, { limit: HISTORY_PAGE, cursor: historyCursor }),
  ]);
  return { ...detail, history: { logs, nextCursor } };
}
