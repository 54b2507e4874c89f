// The rows of the authorisation matrix: whom each procedure is for, and what it must not tell.
import { randomUUID } from "node:crypto";
import type { Person } from "../../support/people.ts";

/** Whom a procedure is for. */
export type Caller = "public" | "user" | "admin" | "service";

/** Things of the other person, which nobody else may see, touch or learn the existence of. */
export interface Others {
  other: Person;
  /** Another one, who may be disabled, promoted or refunded by the administrators of these rows. */
  victim: Person;
  checkoutSession: string;
  otherRun: string;
}

/** One procedure of the matrix. */
export interface Row {
  caller: Caller;
  /** An input the schema takes. */
  input?: (others: Others) => unknown;
  /** The same with another person's id; a user must get NOT_FOUND. `none`: why no input can name another person's thing. */
  foreign: ((others: Others) => unknown) | { none: string };
}

const ownOnly = { none: "answers for the caller's own account; takes no id" };
/** Why a row has no foreign input. */
export const catalog = { none: "takes ids of the public catalog only" };
const everyone = { none: "administrators and services act on anybody" };
const open = { none: "public" };

/** Every procedure of the router, by path. */
export const rows: Record<string, Row> = {
  "auth.config": { caller: "public", foreign: open },
  "auth.refresh": { caller: "public", foreign: open },
  "auth.logout": { caller: "public", foreign: open },
  "auth.logoutAll": { caller: "user", foreign: ownOnly },
  "auth.me": { caller: "user", foreign: ownOnly },
  "auth.sessions": { caller: "user", foreign: ownOnly },
  "auth.revokeSession": {
    caller: "user",
    input: () => ({ sessionId: randomUUID() }),
    foreign: ({ other }) => ({ sessionId: other.sessionId }),
  },
  "user.profile": { caller: "user", foreign: ownOnly },
  "user.update": { caller: "user", input: () => ({ name: "Matrix" }), foreign: ownOnly },
  "user.export": { caller: "user", foreign: ownOnly },
  "user.delete": {
    caller: "user",
    input: () => ({ confirmEmail: "not-the-callers@example.com" }),
    foreign: { none: "another person's address is refused as a wrong confirmation" },
  },
  "credit.balance": { caller: "user", foreign: ownOnly },
  "credit.history": { caller: "user", foreign: ownOnly },
  "credit.costs": { caller: "public", foreign: open },
  "credit.spend": {
    caller: "user",
    input: () => ({ feature: "chat-flash", idempotencyKey: randomUUID() }),
    foreign: { none: "keys belong to the caller: the ledger's own suite repeats another's" },
  },
  "credit.usage": { caller: "user", foreign: ownOnly },
  "credit.onChange": { caller: "user", foreign: ownOnly },
  "payment.packages": { caller: "public", foreign: open },
  "payment.checkout": {
    caller: "user",
    input: () => ({ packageId: "no-such-package" }),
    foreign: catalog,
  },
  "payment.confirm": {
    caller: "user",
    input: () => ({ sessionId: "cs_test_nobody" }),
    foreign: ({ checkoutSession }) => ({ sessionId: checkoutSession }),
  },
  "payment.history": { caller: "user", foreign: ownOnly },
  "payment.plans": { caller: "public", foreign: open },
  "payment.subscribe": {
    caller: "user",
    input: () => ({ planId: "no-such-plan" }),
    foreign: catalog,
  },
  "payment.subscription": { caller: "user", foreign: ownOnly },
  "payment.previewPlanChange": {
    caller: "user",
    input: () => ({ planId: "no-such-plan" }),
    foreign: catalog,
  },
  "payment.changePlan": {
    caller: "user",
    input: () => ({ planId: "no-such-plan", previewToken: "x" }),
    foreign: catalog,
  },
  "payment.cancelPlanChange": { caller: "user", foreign: ownOnly },
  "payment.cancelSubscription": { caller: "user", foreign: ownOnly },
  "payment.resumeSubscription": { caller: "user", foreign: ownOnly },
  "payment.portal": { caller: "user", foreign: ownOnly },
  "payment.invoices": { caller: "user", foreign: ownOnly },
  "ai.models": { caller: "public", foreign: open },
  "ai.start": {
    caller: "user",
    input: () => ({
      feature: "chat-flash",
      messages: [{ role: "user", content: "Hello" }],
      idempotencyKey: randomUUID(),
    }),
    foreign: { none: "keys belong to the caller: the id of a run is made of both" },
  },
  "ai.stream": {
    caller: "user",
    input: () => ({ runId: "run_nobodys" }),
    foreign: ({ otherRun }) => ({ runId: otherRun }),
  },
  "ai.stop": {
    caller: "user",
    input: () => ({ runId: "run_nobodys" }),
    foreign: ({ otherRun }) => ({ runId: otherRun }),
  },
  "ai.run": {
    caller: "user",
    input: () => ({ runId: "run_nobodys" }),
    foreign: ({ otherRun }) => ({ runId: otherRun }),
  },
  "service.reserve": {
    caller: "service",
    input: ({ other }) => ({
      userId: other.userId,
      feature: "chat-flash",
      idempotencyKey: randomUUID(),
    }),
    foreign: everyone,
  },
  "service.settle": {
    caller: "service",
    input: () => ({ holdId: randomUUID() }),
    foreign: everyone,
  },
  "service.release": {
    caller: "service",
    input: () => ({ holdId: randomUUID() }),
    foreign: everyone,
  },
  "service.spend": {
    caller: "service",
    input: ({ other }) => ({
      userId: other.userId,
      feature: "chat-flash",
      idempotencyKey: randomUUID(),
    }),
    foreign: everyone,
  },
  "admin.users": { caller: "admin", foreign: everyone },
  "admin.user": {
    caller: "admin",
    input: ({ other }) => ({ userId: other.userId }),
    foreign: everyone,
  },
  "admin.adjustCredits": {
    caller: "admin",
    input: ({ victim }) => ({
      userId: victim.userId,
      amount: 1,
      reason: "matrix",
      idempotencyKey: randomUUID(),
    }),
    foreign: everyone,
  },
  "admin.setRole": {
    caller: "admin",
    input: ({ victim }) => ({ userId: victim.userId, role: "USER" }),
    foreign: everyone,
  },
  "admin.disableUser": {
    caller: "admin",
    input: ({ victim }) => ({ userId: victim.userId }),
    foreign: everyone,
  },
  "admin.enableUser": {
    caller: "admin",
    input: ({ victim }) => ({ userId: victim.userId }),
    foreign: everyone,
  },
  "admin.refundPayment": {
    caller: "admin",
    input: () => ({ paymentId: randomUUID(), idempotencyKey: randomUUID() }),
    foreign: everyone,
  },
  "admin.events": { caller: "admin", foreign: everyone },
  "admin.replayEvent": {
    caller: "admin",
    input: () => ({ eventId: "evt_nobody" }),
    foreign: everyone,
  },
  "admin.stats": { caller: "admin", foreign: everyone },
};
