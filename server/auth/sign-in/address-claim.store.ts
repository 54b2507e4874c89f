// Decides which account a verified address leads to. Mailboxes and domains change hands, so an address alone is no
// identity: it links to an account only if that has no identity of the same issuer. A second `sub` of one issuer is
// another person.
import { writeAuditLine } from "../../database/audit-log.ts";
import type { DatabaseTransaction, PrismaModels } from "../../database/ports.ts";
import { lockUser } from "../../database/lock-user.ts";
import type { SignIn } from "../auth.types.ts";
import { recordAddressHolder, releasedEmail, wasHeldByAnother } from "./address-history.store.ts";
import { SignInFailure } from "./sign-in-error.ts";

/** Where an address leads for a `sub` that is new here. */
interface AddressClaim {
  /** The account to link to; null = create a new one. */
  readonly linkTo: string | null;
  /** The account that has lost the address to the newcomer, if any. */
  readonly takenFrom: string | null;
}

/** The holder may change between being found and being locked. This many times in a row is no coincidence. */
const MAX_ATTEMPTS = 5;

/**
 * Decides between linking and a new account, and frees the address for the newcomer if another `sub` had it.
 * Throws SignInFailure account_conflict: an account holds the address unverified, or the holder keeps changing.
 */
export async function claimAddress(
  tx: DatabaseTransaction,
  request: SignIn,
  ownIdentityId: string,
): Promise<AddressClaim> {
  const { email, issuer } = request.identity;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const holder = await tx.models.user.findUnique({ where: { email }, select: { id: true } });
    if (holder === null) return { linkTo: null, takenFrom: null };
    await lockUser(tx, holder.id);
    const locked = await tx.models.user.findUnique({
      where: { id: holder.id },
      select: { id: true, email: true, emailVerifiedAt: true, addressTakenAt: true },
    });
    if (locked?.email !== email) continue;
    const known = await tx.models.identity.findMany({
      where: { userId: locked.id, issuer },
      select: { id: true },
    });
    // The same person's other tab was a moment faster.
    if (known.some(({ id }) => id === ownIdentityId)) return { linkTo: locked.id, takenFrom: null };
    if (known.length > 0) {
      await releaseAddress(tx.models, locked, request);
      return { linkTo: null, takenFrom: locked.id };
    }
    // Otherwise whoever typed in the address first would own the account of the person who proves it.
    if (locked.emailVerifiedAt === null) {
      throw new SignInFailure("account_conflict", "an account with an unverified address exists");
    }
    return { linkTo: locked.id, takenFrom: null };
  }
  throw new SignInFailure("account_conflict", "the address keeps changing hands");
}

async function releaseAddress(
  models: PrismaModels,
  holder: { id: string; email: string; addressTakenAt: Date | null },
  request: SignIn,
): Promise<void> {
  const userId = holder.id;
  await recordAddressHolder(models, holder, request.session.startedAt);
  await models.user.update({
    where: { id: userId },
    data: { email: releasedEmail(userId), emailVerifiedAt: null },
    select: { id: true },
  });
  await auditAddress(models, request, {
    userId,
    action: "user.addressReleased",
    // The newcomer's IP address is in a separate line, where erasing their account finds it.
    ip: null,
    reason: "The issuer vouches for this address with another subject: it is another person's now.",
  });
}

/** Writes the newcomer's audit line, in addition to the former holder's. */
export async function auditTakenAddress(
  models: PrismaModels,
  request: SignIn,
  userId: string,
): Promise<void> {
  await auditAddress(models, request, {
    userId,
    action: "user.addressTaken",
    ip: request.session.client.ip,
    reason:
      "The address was another account's until now. ADMIN_EMAILS does not raise this account.",
  });
}

function auditAddress(
  models: PrismaModels,
  { session }: SignIn,
  { userId, ...line }: { userId: string; action: string; reason: string; ip: string | null },
): Promise<void> {
  const target = { targetType: "user", targetId: userId };
  return writeAuditLine(models, session.startedAt, { ...line, ...target, actorId: null });
}

/**
 * Whether ADMIN_EMAILS may promote this account by its address: the account did not take the address from another one,
 * no other `sub` of the issuer is known to have held it, and no other `sub` of the issuer leads to the account.
 */
export async function mayBecomeAdmin(
  models: PrismaModels,
  user: { id: string; email: string; addressTakenAt: Date | null },
  identity: { id: string; issuer: string },
): Promise<boolean> {
  if (user.addressTakenAt !== null) return false;
  if (await wasHeldByAnother(models, user.email, identity)) return false;
  const others = await models.identity.count({
    where: { userId: user.id, issuer: identity.issuer, NOT: { id: identity.id } },
  });
  return others === 0;
}
