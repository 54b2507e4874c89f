// Which of our checkouts a session at Stripe is.
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
