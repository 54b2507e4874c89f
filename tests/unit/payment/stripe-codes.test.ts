// Every Stripe code the server acts on is in the SDK's own lists: a code that Stripe does not have would never arrive,
// so the code that depends on it would never run.
import { readdirSync, readFileSync } from "node:fs";
import type Stripe from "stripe";
import { expect, test } from "vitest";
import { STRIPE_CODES } from "../../../server/adapters/stripe/calls.ts";
import { HANDLED_EVENTS } from "../../../server/payment/events/handled-events.ts";

const root = new URL("../../../", import.meta.url);
const sdk = (name: string): string =>
  readFileSync(new URL(`resources/${name}.d.ts`, import.meta.resolve("stripe")), "utf8");

/** Returns all error codes; the SDK repeats their union wherever an object can contain an error. */
function errorCodes(): Set<string> {
  const unions = [...sdk("PaymentIntents").matchAll(/type Code =([^;]+);/g)].map(
    ([, union = ""]) => new Set([...union.matchAll(/'([^']+)'/g)].map(([, word = ""]) => word)),
  );
  const [all = new Set<string>()] = unions.sort((a, b) => b.size - a.size);
  expect(all.size).toBeGreaterThan(100);
  return all;
}

const sources = ["server/adapters/stripe/", "server/payment/"].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => readFileSync(new URL(`${folder}${path}`, root), "utf8")),
);

/** Returns the words that a field is compared with anywhere in the server's payment code. */
function compared(field: RegExp): string[] {
  const pattern = new RegExp(`${field.source}\\s*(?:===|!==)\\s*"([a-z_.]+)"`, "g");
  return sources.flatMap((text) => [...text.matchAll(pattern)].map(([, word = ""]) => word));
}

test("the error codes acted on are among Stripe's", () => {
  const codes = errorCodes();
  for (const code of Object.values(STRIPE_CODES)) expect(codes).toContain(code);
  expect(codes).not.toContain("price_inactive");
});

test("no other code is compared with anywhere: refusals are told apart by kind, prices by looking", () => {
  expect(compared(/\b(?:stripeCode|code)\b/)).toEqual([]);
});

test("the events handled are among Stripe's", () => {
  const types = new Set(
    [...sdk("Events").matchAll(/^ {4}type: '([^']+)';$/gm)].map(([, type = ""]) => type),
  );
  expect(types.size).toBeGreaterThan(250);
  for (const type of HANDLED_EVENTS) expect(types).toContain(type);
});

test("the statuses acted on are among Stripe's", () => {
  // Checked by the compiler: a status that Stripe does not have is a type error.
  const subscription: Stripe.Subscription.Status[] = [
    "canceled",
    "incomplete_expired",
    "active",
    "trialing",
  ];
  const intent: Stripe.PaymentIntent.Status[] = ["requires_payment_method", "canceled"];
  const invoice: Stripe.Invoice.Status[] = ["paid", "draft"];
  const session: Stripe.Checkout.Session.Status[] = ["open", "complete", "expired"];
  const payment: Stripe.Checkout.Session.PaymentStatus[] = [
    "paid",
    "unpaid",
    "no_payment_required",
  ];
  const schedule: Stripe.SubscriptionSchedule.Status[] = ["active", "not_started"];
  const creditNote: Stripe.CreditNote.Status[] = ["void"];
  const dispute: Stripe.Dispute.Status[] = ["won", "prevented", "warning_closed"];
  // A refund's status is a plain string in the SDK: https://docs.stripe.com/api/refunds/object
  const refund = ["failed", "canceled", "pending", "succeeded"];
  const known = new Set<string>([
    ...subscription,
    ...intent,
    ...invoice,
    ...session,
    ...payment,
    ...schedule,
    ...creditNote,
    ...dispute,
    ...refund,
  ]);
  // Our own rows' statuses are upper-case, and outcomes in our ledger and events are not called status.
  for (const word of compared(/\b(?:status|paymentStatus)\b/)) expect(known).toContain(word);
});
