// Finds our checkout for a session at Stripe, or restores it when the database has lost it.
import type { Checkout } from "../payment.types.ts";
import type { PaymentTables } from "../ports.ts";
import type { StripeCheckout } from "../stripe/port.ts";

/**
 * Returns our checkout for a session, or null. A lost response may have left the session's id unstored, in which case
 * our own reference finds it.
 */
export async function findCheckout(
  { checkouts, customers }: Pick<PaymentTables, "checkouts" | "customers">,
  session: StripeCheckout,
): Promise<Checkout | null> {
  const known = await checkouts.findBySession(session.id);
  if (known !== null || session.clientReferenceId === null) return known;
  const claimed = await checkouts.find(session.clientReferenceId);
  if (claimed === null) return null;
  // Another sync may have written the id since the first read. A row that has another session's id is not this one's.
  if (claimed.stripeSessionId === session.id) return claimed;
  if (claimed.stripeSessionId !== null) return null;
  // A payment link can carry any reference, but not our user's customer.
  const customerId = (await customers.find(claimed.userId))?.stripeCustomerId ?? null;
  return customerId !== null && customerId === session.customerId ? claimed : null;
}

/**
 * Returns the checkout of a paid session that we opened but the database has lost, because it was restored to an
 * earlier state; null when there is no such checkout. It is built from the note on the session, for packages only (a
 * plan's invoice is sufficient by itself), and only if the user has no other Stripe customer.
 */
export async function restoreCheckout(
  { checkouts, customers }: Pick<PaymentTables, "checkouts" | "customers">,
  session: StripeCheckout,
): Promise<Checkout | null> {
  const { note } = session;
  if (note === null || note.kind !== "PACKAGE" || note.checkoutId !== session.clientReferenceId)
    return null;
  if (session.amountSubtotal === null || session.currency === null) return null;
  // A checkout that exists belongs to another session.
  if ((await checkouts.find(note.checkoutId)) !== null) return null;
  const user = await customers.find(note.userId);
  const customerId = user?.stripeCustomerId ?? session.customerId;
  if (user === null || customerId !== session.customerId) return null;
  return {
    id: note.checkoutId,
    userId: note.userId,
    kind: note.kind,
    offerId: note.offerId,
    credits: note.credits,
    amount: session.amountSubtotal,
    currency: session.currency,
    stripeSessionId: session.id,
    expiresAt: session.createdAt,
    createdAt: session.createdAt,
  };
}
