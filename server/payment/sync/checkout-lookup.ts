// Owns which of our checkouts a session at Stripe is.
import type { PrismaModels } from "../../database/ports.ts";
import type { StripeCheckout } from "../stripe/port.ts";

/** A row of `checkouts`. */
export type CheckoutRow = NonNullable<Awaited<ReturnType<PrismaModels["checkout"]["findUnique"]>>>;

/** Our row for a session. A lost answer may have left the session's id unknown; then our own reference finds it. */
export async function checkoutOf(
  models: PrismaModels,
  session: StripeCheckout,
): Promise<CheckoutRow | null> {
  const known = await models.checkout.findUnique({ where: { stripeSessionId: session.id } });
  if (known !== null || session.clientReferenceId === null) return known;
  const claimed = await models.checkout.findUnique({ where: { id: session.clientReferenceId } });
  if (claimed === null) return null;
  // Another look may have written the id since the first read; another session's row stays its own.
  if (claimed.stripeSessionId === session.id) return claimed;
  if (claimed.stripeSessionId !== null) return null;
  // A payment link can carry anybody's reference, but not our user's customer.
  const user = await models.user.findUnique({
    where: { id: claimed.userId },
    select: { stripeCustomerId: true },
  });
  const ours = user?.stripeCustomerId ?? null;
  return ours !== null && ours === session.customerId ? claimed : null;
}
