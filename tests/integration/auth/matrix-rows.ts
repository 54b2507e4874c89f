// The rows of the authorisation matrix: who may call each procedure, and what it must not reveal.
import { randomUUID } from "node:crypto";
import type { Person } from "../../support/people.ts";

/** Who may call a procedure. */
type Caller = "public" | "user" | "admin" | "service";

/** Resources of another user, which no one else may see, touch or learn of. */
export interface Others {
  other: Person;
  /** A third user, whom the administrators in these rows may disable, promote or refund. */
  victim: Person;
  checkoutSession: string;
  otherRun: string;
}

/** Builds an input that the schema accepts. */
type Input = (others: Others) => object;
/** The same with another user's id, or why no input can refer to another user's resource. */
type Foreign = Input | { none: string };

/** One procedure of the matrix. With the foreign input, a user must get NOT_FOUND. */
interface Row {
  caller: Caller;
  input?: Input;
  foreign: Foreign;
}

const ownOnly = { none: "answers for the caller's own account; takes no id" };
/** Reasons why a row has no foreign input. */
export const catalog = { none: "takes ids of the public catalog only" };
const everyone = { none: "administrators and services act on anybody" };

const forAll: Row = { caller: "public", foreign: { none: "public" } };
const forUser = (foreign: Foreign, input?: Input): Row => ({ caller: "user", input, foreign });
const ofRun = forUser(
  ({ otherRun }) => ({ runId: otherRun }),
  () => ({ runId: "run_nobodys" }),
);
const forAdmin = (input?: Input): Row => ({ caller: "admin", input, foreign: everyone });
const forService = (input?: Input): Row => ({ caller: "service", input, foreign: everyone });

/** Every procedure of the router, by path. */
export const rows: Record<string, Row> = {
  "auth.config": forAll,
  "auth.refresh": forAll,
  "auth.logout": forAll,
  "auth.logoutAll": forUser(ownOnly),
  "auth.me": forUser(ownOnly),
  "auth.sessions": forUser(ownOnly),
  "auth.revokeSession": forUser(
    ({ other }) => ({ sessionId: other.sessionId }),
    () => ({ sessionId: randomUUID() }),
  ),
  "user.profile": forUser(ownOnly),
  "user.update": forUser(ownOnly, () => ({ name: "Matrix" })),
  "user.export": forUser(ownOnly),
  "user.delete": forUser(
    { none: "another person's address is refused as a wrong confirmation" },
    () => ({ confirmEmail: "not-the-callers@example.com" }),
  ),
  "credit.balance": forUser(ownOnly),
  "credit.history": forUser(ownOnly),
  "credit.costs": forAll,
  "credit.spend": forUser(
    { none: "keys belong to the caller: the ledger's own suite repeats another's" },
    () => ({ feature: "chat-flash", idempotencyKey: randomUUID() }),
  ),
  "credit.usage": forUser(ownOnly),
  "credit.onChange": forUser(ownOnly),
  "payment.packages": forAll,
  "payment.checkout": forUser(catalog, () => ({ packageId: "no-such-package" })),
  "payment.confirm": forUser(
    ({ checkoutSession }) => ({ sessionId: checkoutSession }),
    () => ({ sessionId: "cs_test_nobody" }),
  ),
  "payment.history": forUser(ownOnly),
  "payment.plans": forAll,
  "payment.subscribe": forUser(catalog, () => ({ planId: "no-such-plan" })),
  "payment.subscription": forUser(ownOnly),
  "payment.previewPlanChange": forUser(catalog, () => ({ planId: "no-such-plan" })),
  "payment.changePlan": forUser(catalog, () => ({ planId: "no-such-plan", previewToken: "x" })),
  "payment.cancelPlanChange": forUser(ownOnly),
  "payment.cancelSubscription": forUser(ownOnly),
  "payment.resumeSubscription": forUser(ownOnly),
  "payment.portal": forUser(ownOnly),
  "payment.invoices": forUser(ownOnly),
  "ai.models": forAll,
  "ai.start": forUser(
    { none: "keys belong to the caller: the id of a run is made of both" },
    () => ({
      feature: "chat-flash",
      messages: [{ role: "user", content: "Hello" }],
      idempotencyKey: randomUUID(),
    }),
  ),
  "ai.stream": ofRun,
  "ai.stop": ofRun,
  "ai.run": ofRun,
  "service.reserve": forService(({ other }) => ({
    userId: other.userId,
    feature: "chat-flash",
    idempotencyKey: randomUUID(),
  })),
  "service.settle": forService(() => ({ holdId: randomUUID() })),
  "service.release": forService(() => ({ holdId: randomUUID() })),
  "service.spend": forService(({ other }) => ({
    userId: other.userId,
    feature: "chat-flash",
    idempotencyKey: randomUUID(),
  })),
  "admin.users": forAdmin(),
  "admin.user": forAdmin(({ other }) => ({ userId: other.userId })),
  "admin.adjustCredits": forAdmin(({ victim }) => ({
    userId: victim.userId,
    amount: 1,
    reason: "matrix",
    idempotencyKey: randomUUID(),
  })),
  "admin.setRole": forAdmin(({ victim }) => ({ userId: victim.userId, role: "USER" })),
  "admin.disableUser": forAdmin(({ victim }) => ({ userId: victim.userId })),
  "admin.enableUser": forAdmin(({ victim }) => ({ userId: victim.userId })),
  "admin.refundPayment": forAdmin(() => ({
    paymentId: randomUUID(),
    idempotencyKey: randomUUID(),
  })),
  "admin.events": forAdmin(),
  "admin.replayEvent": forAdmin(() => ({ eventId: "evt_nobody" })),
  "admin.stats": forAdmin(),
};
