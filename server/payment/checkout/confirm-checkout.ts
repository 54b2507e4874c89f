// The return page's question: what has become of this checkout? Answered from Stripe when no event has come yet.
import { paymentState } from "../../../shared/src/payment.ts";
import { notFound } from "../../lib/errors.ts";
import type { PaymentOutput } from "../payment.types.ts";
import type { PaymentTables } from "../ports.ts";
import type { SyncDeps } from "../sync/apply-sync.ts";
import { syncWithStripe } from "../sync/sync.ts";

/** Settles a checkout and returns its outcome. Throws NOT_FOUND for anybody else's session, PAYMENT_PROVIDER_ERROR. */
export async function confirmCheckout(
  deps: SyncDeps,
  userId: string,
  sessionId: string,
): Promise<PaymentOutput<"confirm">> {
  const checkout = await deps.store.checkouts.findBySession(sessionId);
  // Somebody else's session and none at all look the same.
  if (checkout === null || checkout.userId !== userId) throw notFound("checkout");
  const before = await readOutcome(deps.store, checkout.id, userId);
  if (before.status !== "PENDING") {
    // Whoever settled it may have died before telling: nobody is shown a balance from before it after this.
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
