// Owns what administrators may do. Every write leaves an audit line: who, what, why.
import type { Principal } from "../auth/auth.types.ts";
import { AppError } from "../lib/errors.ts";
import { createGate } from "../lib/gate.ts";
import { scopedKey } from "../ledger/idempotency-key.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { Logger } from "../lib/logger.ts";
import type { AdminInput, AdminOutput } from "./admin.types.ts";
import type { AdminPayments, AdminStore } from "./ports.ts";
import { recordingWrites } from "./recording.ts";

/** The `admin` procedures. `ip` is the administrator's address, for the audit line. */
export interface AdminService {
  users(filter: AdminInput<"users">): Promise<AdminOutput<"users">>;
  user(input: AdminInput<"user">): Promise<AdminOutput<"user">>;
  adjustCredits(
    principal: Principal,
    input: AdminInput<"adjustCredits">,
    ip: string | null,
  ): Promise<AdminOutput<"adjustCredits">>;
  setRole(
    principal: Principal,
    input: AdminInput<"setRole">,
    ip: string | null,
  ): Promise<AdminOutput<"setRole">>;
  disableUser(
    principal: Principal,
    input: AdminInput<"disableUser">,
    ip: string | null,
  ): Promise<AdminOutput<"disableUser">>;
  enableUser(
    principal: Principal,
    input: AdminInput<"enableUser">,
    ip: string | null,
  ): Promise<AdminOutput<"enableUser">>;
  refundPayment(
    principal: Principal,
    input: AdminInput<"refundPayment">,
    ip: string | null,
  ): Promise<AdminOutput<"refundPayment">>;
  events(filter: AdminInput<"events">): Promise<AdminOutput<"events">>;
  replayEvent(
    principal: Principal,
    input: AdminInput<"replayEvent">,
    ip: string | null,
  ): Promise<AdminOutput<"replayEvent">>;
  /**
   * Figures of `from`..`to`; defaults to the last 30 days. VALIDATION_FAILED when from is after to, or more than 366 days
   * before it; SERVICE_UNAVAILABLE or RATE_LIMITED when too many wait for figures.
   */
  stats(input: AdminInput<"stats">): Promise<AdminOutput<"stats">>;
}

/** What the service is made of. */
export interface AdminServiceDeps {
  readonly store: AdminStore;
  readonly payments: AdminPayments;
  readonly ledger: Pick<Ledger, "changed">;
  /** AuthService.invalidateSessions. */
  readonly invalidateSessions: () => Promise<void>;
  readonly logger: Logger;
  readonly now?: () => number;
}

const STATS_DAYS = 30;
const MAX_STATS_DAYS = 366;
const DAY_MS = 86_400_000;
/** Figures read through much of the database: one at a time per instance, the next ones wait. */
const STATS_GATE = { atOnce: 1, perKey: 21, maxWaiting: 20, maxWaitMs: 15_000 };

/** Makes the service. */
export function createAdminService(deps: AdminServiceDeps): AdminService {
  const now = deps.now ?? Date.now;
  const { payments } = deps;
  const store = recordingWrites(deps.store, deps.logger);
  const statsGate = createGate(STATS_GATE);
  return {
    users: (filter) => store.users(filter),
    user: (input) => store.user(input.userId),
    async adjustCredits(principal, input, ip) {
      const answer = await store.adjust(
        {
          kind: "adjust",
          userId: input.userId,
          amountCredits: input.amount,
          actorId: principal.userId,
          reason: input.reason,
          idempotencyKey: scopedKey("admin", input.idempotencyKey),
          expiresAt: input.expiresAt === undefined ? null : new Date(input.expiresAt),
        },
        {
          actorId: principal.userId,
          ip,
          action: "credits.adjust",
          targetType: "user",
          targetId: input.userId,
          reason: input.reason,
          detail: { amount: input.amount, idempotencyKey: input.idempotencyKey },
        },
      );
      await deps.ledger.changed([input.userId]);
      return answer;
    },
    async setRole(principal, input, ip) {
      const user = await store.setRole(input.userId, input.role, {
        actorId: principal.userId,
        ip,
        action: "user.setRole",
        targetType: "user",
        targetId: input.userId,
        reason: input.reason ?? null,
        detail: { role: input.role },
      });
      await deps.invalidateSessions();
      return { user };
    },
    async disableUser(principal, input, ip) {
      const user = await store.setDisabled(input.userId, new Date(now()), {
        actorId: principal.userId,
        ip,
        action: "user.disable",
        targetType: "user",
        targetId: input.userId,
        reason: input.reason ?? null,
      });
      await deps.invalidateSessions();
      return { user };
    },
    async enableUser(principal, input, ip) {
      const user = await store.setDisabled(input.userId, null, {
        actorId: principal.userId,
        ip,
        action: "user.enable",
        targetType: "user",
        targetId: input.userId,
        reason: input.reason ?? null,
      });
      await deps.invalidateSessions();
      return { user };
    },
    async refundPayment(principal, input, ip) {
      // Stripe stands between, so one transaction cannot hold both: the intent is on record before the money moves.
      const line = {
        actorId: principal.userId,
        ip,
        targetType: "payment",
        targetId: input.paymentId,
        reason: input.reason ?? null,
      };
      const detail = { amount: input.amount ?? null, idempotencyKey: input.idempotencyKey };
      await store.audit({ ...line, action: "payment.refund", detail });
      return payments.refundPayment({
        paymentId: input.paymentId,
        amountMinorUnits: input.amount,
        idempotencyKey: input.idempotencyKey,
        reason: input.reason,
        actorId: principal.userId,
      });
    },
    events: (filter) => payments.listEvents(filter),
    async replayEvent(principal, input, ip) {
      await store.audit({
        actorId: principal.userId,
        ip,
        action: "event.replay",
        targetType: "event",
        targetId: input.eventId,
        reason: null,
      });
      return payments.replayEvent({ eventId: input.eventId });
    },
    async stats(input) {
      const to = input.to === undefined ? new Date(now()) : new Date(input.to);
      const from =
        input.from === undefined
          ? new Date(to.getTime() - STATS_DAYS * DAY_MS)
          : new Date(input.from);
      if (from > to) {
        throw AppError.of("VALIDATION_FAILED", "`from` must not be after `to`.", {
          fields: { from: ["Must not be after `to`."] },
        });
      }
      if (to.getTime() - from.getTime() > MAX_STATS_DAYS * DAY_MS) {
        throw AppError.of("VALIDATION_FAILED", `At most ${MAX_STATS_DAYS} days at once.`, {
          fields: { from: [`At most ${MAX_STATS_DAYS} days before \`to\`.`] },
        });
      }
      const figures = await statsGate.run("stats", () => store.stats(from, to));
      return { from: from.toISOString(), to: to.toISOString(), ...figures };
    },
  };
}
