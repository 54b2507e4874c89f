// Writes a sign-in: the user, the identity, the session and the signup bonus, all or nothing.
import { createHash } from "node:crypto";
import type { Database, DatabaseTransaction, PrismaModels } from "../../database/ports.ts";
import { writeAuditLine } from "../../database/audit-log.ts";
import { classifyDatabaseError } from "../../database/errors.ts";
import { lockUser } from "../../database/lock-user.ts";
import { isAppError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import type { Logger } from "../../lib/logger.ts";
import type { Ledger } from "../../ledger/ports.ts";
import type { SignedIn, SignIn } from "../auth.types.ts";
import { auditTakenAddress, claimAddress, mayBecomeAdmin } from "./address-claim.store.ts";
import { recordAddressHolder, wasHeldByAnother } from "./address-history.store.ts";
import { carryDebt } from "./carry-debt.store.ts";
import { SignInFailure } from "./sign-in-error.ts";

/** A concurrent sign-in of the same person may win a unique key; the next try reads again and finds its row. */
const MAX_TRIES = 4;

/** The key of an identity: issuer and subject, hashed so that it does not identify a person. */
function identityId(issuer: string, subject: string): string {
  return createHash("sha256")
    .update(JSON.stringify([issuer, subject]))
    .digest("hex");
}

interface Deps {
  readonly database: Database;
  readonly ledger: Pick<Ledger, "applyIn" | "changed">;
  readonly logger: Logger;
}

/** What one transaction did. */
interface Outcome extends SignedIn {
  /** Whether credits moved, so that the change has to be published after the commit. */
  readonly granted: boolean;
  /** The account that has lost the address to this user, if any. */
  readonly takenFrom: string | null;
}

/** Writes a sign-in to either database, as specified by `WriteSignIn` in ports.ts. */
export async function writeSignIn(deps: Deps, request: SignIn): Promise<SignedIn> {
  const { database, ledger, logger } = deps;
  for (let tries = 1; ; tries++) {
    let changed: readonly string[] = [];
    try {
      const { granted, takenFrom, ...signedIn } = await database.transaction(async (tx) => {
        const outcome = await signInWithin(tx, deps, request);
        changed = outcome.granted ? [outcome.userId] : [];
        return outcome;
      });
      if (takenFrom !== null) {
        logger.warn(
          { event: "address taken", userId: signedIn.userId, formerUserId: takenFrom },
          "address moved to another account: the identity provider vouches for another subject",
        );
      }
      if (granted) await ledger.changed([signedIn.userId]);
      return signedIn;
    } catch (error) {
      // The response to COMMIT may be lost although everything was written.
      if (isAppError(error, "SERVICE_UNAVAILABLE")) await ledger.changed(changed);
      if (classifyDatabaseError(error) !== "unique") throw error;
      const session = await database.models.session.count({ where: { id: request.session.id } });
      if (session > 0) {
        throw new SignInFailure("state_invalid", "this sign-in has its session already", error);
      }
      if (tries >= MAX_TRIES) throw error;
    }
  }
}

async function signInWithin(
  tx: DatabaseTransaction,
  deps: Pick<Deps, "ledger" | "logger">,
  request: SignIn,
): Promise<Outcome> {
  const id = identityId(request.identity.issuer, request.identity.subject);
  const identity = await tx.models.identity.findUnique({ where: { id } });
  const linkedTo = identity?.userId ?? null;
  const hadBonus = (identity?.signupGrantedAt ?? null) !== null;
  const account =
    linkedTo === null
      ? await openAccount(tx, deps.ledger, request, { id, hadBonus })
      : { userId: linkedTo, created: false, granted: false, takenFrom: null };
  const { userId } = account;
  const owed = await carryDebt(tx, deps.ledger, id, userId);
  const roleChanged = await followIdentity(tx, userId, request, deps.logger);
  await addSession(tx.models, userId, request);
  return { ...account, granted: account.granted || owed, roleChanged };
}

/** Links the new identity to the account its address leads to, or to a new one with the signup bonus. */
async function openAccount(
  tx: DatabaseTransaction,
  ledger: Pick<Ledger, "applyIn">,
  request: SignIn,
  identity: { id: string; hadBonus: boolean },
): Promise<Omit<Outcome, "roleChanged">> {
  const { models } = tx;
  const { linkTo, takenFrom } = await claimAddress(tx, request, identity.id);
  const created = linkTo === null;
  const { issuer, email } = request.identity;
  const userId =
    linkTo ??
    (await createUser(
      models,
      request,
      takenFrom !== null || (await wasHeldByAnother(models, email, { id: identity.id, issuer })),
    ));
  if (takenFrom !== null) await auditTakenAddress(models, request, userId);
  const bonus = created && !identity.hadBonus;
  await saveIdentity(models, request, { id: identity.id, userId, bonus });
  const granted = bonus && request.signupCredits > 0;
  if (granted) {
    await ledger.applyIn(tx, [
      {
        kind: "grant",
        userId,
        amountCredits: request.signupCredits,
        source: "SIGNUP",
        sourceId: null,
        // Keyed by identity rather than user, so that deleting the account and returning earns no second bonus.
        grantKey: `signup:${identity.id}`,
        expiresAt: null,
        description: "Welcome credits",
      },
    ]);
  }
  return { userId, created, granted, takenFrom };
}

async function createUser(
  models: PrismaModels,
  { identity, session }: SignIn,
  addressTaken: boolean,
): Promise<string> {
  const id = newId(session.startedAt.getTime());
  await models.user.create({
    data: {
      id,
      email: identity.email,
      emailVerifiedAt: session.startedAt,
      addressTakenAt: addressTaken ? session.startedAt : null,
      name: identity.name,
      avatar: identity.avatar,
      createdAt: session.startedAt,
    },
    select: { id: true },
  });
  return id;
}

async function saveIdentity(
  models: PrismaModels,
  { identity, session }: SignIn,
  account: { id: string; userId: string; bonus: boolean },
): Promise<void> {
  const { id, userId } = account;
  const { issuer, subject } = identity;
  const bonusMark = account.bonus ? { signupGrantedAt: session.startedAt } : {};
  await models.identity.upsert({
    where: { id },
    create: { id, userId, issuer, subject, createdAt: session.startedAt, ...bonusMark },
    update: { userId, subject, ...bonusMark },
  });
}

/**
 * Locks the account and updates it from the identity: address, missing name and avatar, role. Returns whether its older
 * access tokens have ended.
 */
async function followIdentity(
  tx: DatabaseTransaction,
  userId: string,
  { identity, session, isAdmin }: SignIn,
  logger: Logger,
): Promise<boolean> {
  await lockUser(tx, userId);
  const user = await tx.models.user.findUnique({ where: { id: userId } });
  if (user === null || user.deletedAt !== null) {
    throw new SignInFailure("account_conflict", "the identity points at an account that is gone");
  }
  if (user.disabledAt !== null)
    throw new SignInFailure("account_disabled", "the account is disabled");
  const email = await nextEmail(tx.models, user, identity.email, logger);
  if (email !== null && email !== user.email) {
    await recordAddressHolder(tx.models, user, session.startedAt);
  }
  const known = { id: identityId(identity.issuer, identity.subject), issuer: identity.issuer };
  const becomesAdmin =
    isAdmin &&
    user.role !== "ADMIN" &&
    email !== null &&
    (await mayBecomeAdmin(tx.models, { ...user, email }, known));
  await tx.models.user.update({
    where: { id: userId },
    data: {
      ...(email === null ? {} : { email, emailVerifiedAt: session.startedAt }),
      ...(user.name === null ? { name: identity.name } : {}),
      ...(user.avatar === null ? { avatar: identity.avatar } : {}),
      ...(becomesAdmin ? { role: "ADMIN", authVersion: { increment: 1 } } : {}),
    },
    select: { id: true },
  });
  if (becomesAdmin) await auditNewAdmin(tx.models, userId, session);
  return becomesAdmin;
}

async function auditNewAdmin(
  models: PrismaModels,
  userId: string,
  session: SignIn["session"],
): Promise<void> {
  await writeAuditLine(models, session.startedAt, {
    actorId: null,
    action: "user.setRole",
    targetType: "user",
    targetId: userId,
    reason: "The verified address is one of ADMIN_EMAILS.",
    detail: { role: "ADMIN" },
    ip: session.client.ip,
  });
}

/** Returns the address the account gets now; null = it keeps its own, because the new one is another account's. */
async function nextEmail(
  models: PrismaModels,
  user: { id: string; email: string },
  email: string,
  logger: Logger,
): Promise<string | null> {
  if (user.email === email) return email;
  const holder = await models.user.findUnique({ where: { email }, select: { id: true } });
  if (holder === null) return email;
  // Identity is issuer and subject, so the user is signed in all the same, and no account changes hands.
  logger.warn(
    { userId: user.id },
    "a changed address belongs to another account: the old one is kept",
  );
  return null;
}

async function addSession(
  models: PrismaModels,
  userId: string,
  { session }: SignIn,
): Promise<void> {
  await models.session.create({
    data: {
      id: session.id,
      userId,
      refreshTokenHash: session.tokenHash,
      userAgent: session.client.userAgent,
      ipAddress: session.client.ip,
      createdAt: session.startedAt,
      rotatedAt: session.startedAt,
      lastUsedAt: session.startedAt,
      expiresAt: session.expiresAt,
      absoluteExpiresAt: session.absoluteExpiresAt,
    },
    select: { id: true },
  });
}
