// Compares what the clients were told with what the database and Stripe hold, row by row.
import Stripe from "stripe";
import type { PrismaModels } from "../../../server/database/ports.ts";
import { creditShare } from "../../../server/ledger/model/refund-share.ts";
import type { StripeSandbox } from "../../../server/sandbox/src/stripe/server.ts";
import type { CookieClient } from "./cookie-client.ts";
import type { Journal } from "./journal.ts";

/** What an audit compares. */
export interface AuditedWorld {
  readonly models: PrismaModels;
  readonly stripe: StripeSandbox;
  readonly journal: Journal;
  readonly clients: readonly CookieClient[];
}

type Note = (isFine: boolean, sentence: string) => void;

/** Returns a description of every discrepancy; empty if there are none. Every payment must have been settled before. */
export async function auditCrash(world: AuditedWorld): Promise<string[]> {
  const wrong: string[] = [];
  const check: Note = (isFine, sentence) => {
    if (!isFine) wrong.push(sentence);
  };
  await auditKeys(world, check);
  await auditHolds(world, check);
  await auditPurchases(world, check);
  await auditRefunds(world, check);
  await auditSessions(world, check);
  return wrong;
}

const idsOf = (world: AuditedWorld) => world.clients.map(({ userId }) => userId);

/** Checks each spend's key: acknowledged ones have exactly their numbers, refused ones are absent, others may exist. */
async function auditKeys(world: AuditedWorld, check: Note): Promise<void> {
  const { models, journal } = world;
  const userId = { in: idsOf(world) };
  const [keys, usage] = await Promise.all([
    models.idempotencyKey.findMany({ where: { userId } }),
    models.creditLog.findMany({ where: { userId, type: "USAGE", sourceId: null } }),
  ]);
  const entries = new Map(usage.map((entry) => [entry.id, entry]));
  const entryOfKey = new Map<string, string>();
  const holdKeys = new Set<string>();
  for (const { key, answer } of keys) {
    const { t, h } = JSON.parse(answer) as { t: string | null; h?: string };
    if (h !== undefined) holdKeys.add(key);
    // Refunds use keys that the server generates.
    else if (/^(user|svc):/.test(key)) entryOfKey.set(key, t ?? "");
  }
  const asked = new Map(journal.spends.map((spend) => [spend.key, spend]));
  for (const key of entryOfKey.keys()) check(asked.has(key), `spend ${key}: nobody asked for it`);
  check(
    entries.size === entryOfKey.size && new Set(entryOfKey.values()).size === entryOfKey.size,
    `${entries.size} entries of spends, ${entryOfKey.size} keys`,
  );
  for (const { key, userId: owner, outcome, answer } of journal.spends) {
    const found = entryOfKey.get(key);
    if (outcome === "refused") check(found === undefined, `spend ${key}: refused, and there`);
    if (answer === null) continue;
    const entry = entries.get(found ?? "");
    check(
      found === answer.transactionId &&
        entry?.userId === owner &&
        entry.amount === -answer.charged &&
        entry.balance === answer.balance,
      `spend ${key}: told ${JSON.stringify(answer)}, stored ${JSON.stringify(entry ?? null)}`,
    );
  }
  const reserves = new Set(journal.reserves.map(({ key }) => key));
  for (const key of holdKeys) check(reserves.has(key), `hold ${key}: nobody asked for it`);
  for (const { key, outcome } of journal.reserves) {
    if (outcome === "refused") check(!holdKeys.has(key), `hold ${key}: refused, and there`);
    if (outcome === "acknowledged") check(holdKeys.has(key), `hold ${key}: told, and not there`);
  }
}

/** Each hold exists once under its key and ended as acknowledged; in doubt, it may also be active or expired. */
async function auditHolds(world: AuditedWorld, check: Note): Promise<void> {
  const { models, journal } = world;
  const rows = await models.creditHold.findMany({ where: { userId: { in: idsOf(world) } } });
  const byId = new Map(rows.map((row) => [row.id, row]));
  const byKey = new Map(rows.map((row) => [row.idempotencyKey, row]));
  check(byKey.size === rows.length, `${rows.length} holds under ${byKey.size} keys`);
  for (const { key, answer } of journal.reserves) {
    if (answer === null) continue;
    const row = byKey.get(key);
    check(
      row?.id === answer.holdId && row.amount === answer.amount,
      `hold ${key}: told ${answer.holdId} of ${answer.amount}, stored ${JSON.stringify(row ?? null)}`,
    );
  }
  for (const { holdId, end, isEndAcknowledged } of journal.holds.values()) {
    const row = byId.get(holdId);
    const isAsEnded =
      row?.status === (end === null ? "RELEASED" : "SETTLED") && row.settledAmount === end;
    const isOpenOrOver = row?.status === "ACTIVE" || row?.status === "EXPIRED";
    check(
      isAsEnded || (!isEndAcknowledged && isOpenOrOver),
      `hold ${holdId}: end ${end} ${isEndAcknowledged ? "told" : "in doubt"}, stored ${JSON.stringify(row ?? null)}`,
    );
  }
}

/** Each paid session granted once, nothing else was granted, and Stripe has one session and one customer per order. */
async function auditPurchases(world: AuditedWorld, check: Note): Promise<void> {
  const { models, stripe, journal } = world;
  const userId = { in: idsOf(world) };
  const [payments, lots, entries] = await Promise.all([
    models.payment.findMany({ where: { userId } }),
    models.creditGrant.findMany({ where: { userId, source: "PURCHASE" } }),
    models.creditLog.findMany({ where: { userId, type: "PURCHASE" } }),
  ]);
  const bySession = new Map(payments.map((payment) => [payment.stripeSessionId, payment]));
  const paid = [...journal.sessions.values()].filter(({ state }) => state === "paid");
  check(lots.length === paid.length, `${paid.length} sessions paid, ${lots.length} lots`);
  check(entries.length === paid.length, `${paid.length} sessions paid, ${entries.length} entries`);
  for (const { sessionId, paymentId, credits, state } of journal.sessions.values()) {
    const payment = bySession.get(sessionId);
    const granted = lots.filter(({ sourceId }) => sourceId === paymentId);
    const isPaid = state === "paid";
    check(
      payment?.id === paymentId && (payment.paidAt !== null) === isPaid,
      `session ${sessionId}: ${state}, stored ${JSON.stringify(payment ?? null)}`,
    );
    check(
      granted.length === (isPaid ? 1 : 0) && granted.every(({ amount }) => amount === credits),
      `session ${sessionId}: ${state}, granted ${JSON.stringify(granted)}`,
    );
  }
  const customers = stripe.control.events("customer.created").map(({ data }) => data.object);
  const owners = customers.map((customer) => JSON.stringify(field(customer, "metadata")));
  check(new Set(owners).size === owners.length, `${owners.length} customers for fewer users`);
  const orders = await checkoutsAtStripe(stripe);
  check(new Set(orders).size === orders.length, `${orders.length} sessions for fewer checkouts`);
  check(orders.length >= journal.sessions.size, `${orders.length} sessions at Stripe, more known`);
}

/** Returns our own reference of every checkout session at Stripe. */
async function checkoutsAtStripe({ url, secretKey }: StripeSandbox): Promise<string[]> {
  const { hostname: host, port } = new URL(url);
  const stripe = new Stripe(secretKey, { protocol: "http", host, port, telemetry: false });
  const references: string[] = [];
  for await (const session of stripe.checkout.sessions.list({ limit: 100 }))
    references.push(session.client_reference_id ?? "");
  return references;
}

/** Each refund exists once at Stripe and has its audit line, and the credits of all refunds were taken once. */
async function auditRefunds(world: AuditedWorld, check: Note): Promise<void> {
  const { models, stripe, journal } = world;
  const userId = { in: idsOf(world) };
  const [payments, entries, lines] = await Promise.all([
    models.payment.findMany({ where: { userId, paidAt: { not: null } } }),
    models.creditLog.findMany({ where: { userId, type: "REFUND" } }),
    models.auditLog.findMany({ where: { action: "payment.refund" } }),
  ]);
  const made = stripe.control.events("refund.created").map(({ data: { object } }) => ({
    id: String(field(object, "id")),
    amount: Number(field(object, "amount")),
    paymentIntentId: String(field(object, "payment_intent")),
    orderKey: String(field(field(object, "metadata"), "orderKey")),
  }));
  const told = new Set(lines.map(({ detail }) => field(JSON.parse(detail ?? "{}"), "refundId")));
  const orders = new Set(journal.refunds.map(({ key }) => key));
  for (const { orderKey } of made) check(orders.has(orderKey), `refund ${orderKey}: not ordered`);
  for (const { key, outcome, answer } of journal.refunds) {
    const ids = made.filter(({ orderKey }) => orderKey === key).map(({ id }) => id);
    check(ids.length <= 1, `refund ${key}: ${ids.length} times at Stripe`);
    if (outcome === "refused") check(ids.length === 0, `refund ${key}: refused, and at Stripe`);
    if (answer === null) continue;
    check(ids[0] === answer.refundId, `refund ${key}: told ${answer.refundId}, made ${ids[0]}`);
    check(told.has(answer.refundId), `refund ${key}: without its audit line`);
  }
  for (const payment of payments) {
    const refunded = made
      .filter(({ paymentIntentId }) => paymentIntentId === payment.stripePaymentId)
      .reduce((sum, { amount }) => sum + amount, 0);
    const taken = entries
      .filter(({ sourceId }) => sourceId === payment.id)
      .reduce((sum, { amount }) => sum - amount, 0);
    const share = creditShare(payment.creditsPurchased, refunded, payment.amount);
    check(
      payment.refundedAmount === refunded && payment.refundedCredits === share && taken === share,
      `payment ${payment.id}: ${refunded} refunded and ${share} credits owed, taken ${taken}, stored ${payment.refundedAmount} and ${payment.refundedCredits}`,
    );
  }
}

/** Each client has one session, not revoked, whose generation matches the number of tokens the client received. */
async function auditSessions(world: AuditedWorld, check: Note): Promise<void> {
  for (const { userId, email, tokens } of world.clients) {
    const sessions = await world.models.session.findMany({ where: { userId } });
    const [session] = sessions;
    check(sessions.length === 1, `${email}: ${sessions.length} sessions`);
    check(session?.revokedAt === null, `${email}: revoked (${session?.revokedReason})`);
    check(
      session?.generation === tokens.length - 1,
      `${email}: generation ${session?.generation} after ${tokens.length} tokens`,
    );
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined;
}
