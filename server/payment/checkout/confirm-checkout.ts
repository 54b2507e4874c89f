// Tells the return page how a checkout ended, asking Stripe if no event has arrived yet.
import { paymentState } from "../../../shared/src/payment.ts";
import { notFound } from "../../lib/errors.ts";
import type { PaymentOutput } from "../payment.types.ts";
import type { PaymentTables } from "../ports.ts";
import type { SyncDeps } from "../sync/apply-sync.ts";
import { syncWithStripe } from "../sync/sync.ts";

/** Settles a checkout and returns its outcome. Throws NOT_FOUND (no session of this user), PAYMENT_PROVIDER_ERROR. */
export async function confirmCheckout(
  deps: SyncDeps,
  userId: string,
  sessionId: string,
): Promise<PaymentOutput<"confirm">> {
  const checkout = await deps.store.checkouts.findBySession(sessionId);
  // Another user's session must look the same as no session at all.
  if (checkout === null || checkout.userId !== userId) throw notFound("checkout");
  const before = await readOutcome(deps.store, checkout.id, userId);
  if (before.status !== "PENDING") {
    // The process that settled it may have died before publishing the change, so a stale balance may still be cached.
    await deps.ledger.changed([userId]);
    return before;
  }
  await syncWithStripe(deps, { kind: "checkout", sessionId });
  return readOutcome(deps.store, checkout.id, userId);
}

async function readOutcome(
  { payments, customers }: PaymentTables,
  paymentId: string,
  userId: string,
): Promise<PaymentOutput<"confirm">> {
  const [payment, user] = await Promise.all([
    payments.find({ id: paymentId }),
    customers.find(userId),
  ]);
  return {
    status: paymentState.parse(payment?.status ?? "PENDING"),
    creditsAdded: payment?.paidAt ? payment.creditsPurchased : 0,
    balance: user?.credits ?? 0,
  };
}
