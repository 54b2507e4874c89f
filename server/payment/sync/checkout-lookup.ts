// Which of our checkouts a session at Stripe is, and what to do when the database has lost it.
import type { Checkout } from "../payment.types.ts";
import type { PaymentTables } from "../ports.ts";
import type { StripeCheckout } from "../stripe/port.ts";

/** Finds our checkout of a session. A lost answer may have left the session's id unknown; then our own reference finds it. */
export async function findCheckout(
  { checkouts, customers }: Pick<PaymentTables, "checkouts" | "customers">,
  session: StripeCheckout,
): Promise<Checkout | null> {
  const known = await checkouts.findBySession(session.id);
  if (known !== null || session.clientReferenceId === null) return known;
  const claimed = await checkouts.find(session.clientReferenceId);
  if (claimed === null) return null;
  // Another sync may have written the id since the first read; another session's row stays its own.
  if (claimed.stripeSessionId === session.id) return claimed;
  if (claimed.stripeSessionId !== null) return null;
  // A payment link can carry anybody's reference, but not our user's customer.
  const customerId = (await customers.find(claimed.userId))?.stripeCustomerId ?? null;
  return customerId !== null && customerId === session.customerId ? claimed : null;
}

/**
 * Returns the checkout of a paid session that the database does not know, although we opened it: it was restored to
 * before that. Made from the note on the session, for a package alone (a plan's invoice tells all by itself), and only
 * where the session's customer is that user's.
 */
export async function recallCheckout(
  { checkouts, customers }: Pick<PaymentTables, "checkouts" | "customers">,
  session: StripeCheckout,
): Promise<Checkout | null> {
  const { note } = session;
  if (note === null || note.kind !== "PACKAGE" || note.checkoutId !== session.clientReferenceId)
    return null;
  if (session.amountSubtotal === null || session.currency === null) return null;
  // Another session's checkout stays its own.
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
