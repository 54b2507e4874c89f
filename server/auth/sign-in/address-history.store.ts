// Who held an address before: the record belongs to the address and outlives the accounts, so that nobody sheds it by
// deleting an account and coming back.
import { createHash } from "node:crypto";
import { writeAuditLine } from "../../database/audit-log.ts";
import type { PrismaModels } from "../../database/ports.ts";
import { asciiLowerCase } from "../../lib/text.ts";

const TARGET_TYPE = "address";
/** More people than any honest mailbox has had; beyond it the address counts as another's. */
const MAX_HOLDERS = 50;

/** An account as it is about to lose its address. */
interface Holder {
  readonly id: string;
  readonly email: string;
  readonly addressTakenAt: Date | null;
}

/** The address of an account that lost its own: unique, and of a domain that never receives mail (RFC 2606). */
export function releasedEmail(userId: string): string {
  return `released-${userId}@released.invalid`;
}

/** Writes down who held the account's address. Call before the address or the account's identities change. */
export async function recordAddressHolder(
  models: PrismaModels,
  holder: Holder,
  at: Date,
): Promise<void> {
  if (holder.email === releasedEmail(holder.id)) return;
  const targetId = addressHash(holder.email);
  const identities = await models.identity.findMany({
    where: { userId: holder.id },
    select: { id: true },
  });
  const holders: (string | null)[] = identities.map(({ id }) => id);
  // Taken over: from somebody whose identity may not be on record any more.
  if (holder.addressTakenAt !== null) holders.push(null);
  const known = await findHolderRecords(models, targetId);
  if (known.length >= MAX_HOLDERS) return;
  for (const identityId of holders) {
    if (known.includes(JSON.stringify({ identityId }))) continue;
    await writeAuditLine(models, at, {
      actorId: null,
      action: "address.held",
      targetType: TARGET_TYPE,
      targetId,
      reason: "ADMIN_EMAILS raises nobody else by this address.",
      detail: { identityId },
    });
  }
}

/** Whether another `sub` of the identity's issuer is known to have held the address. */
export async function wasHeldByAnother(
  models: PrismaModels,
  email: string,
  identity: { id: string; issuer: string },
): Promise<boolean> {
  const records = await findHolderRecords(models, addressHash(email));
  if (records.length >= MAX_HOLDERS) return true;
  const holders = records.map((detail) => identityIdOf(detail));
  const ids = holders.filter((id) => id !== null);
  if (ids.length < holders.length) return true;
  const others = ids.filter((id) => id !== identity.id);
  if (others.length === 0) return false;
  const { issuer } = identity;
  return (await models.identity.count({ where: { id: { in: others }, issuer } })) > 0;
}

/** The address in no form that says whose it is. */
function addressHash(email: string): string {
  return createHash("sha256").update(asciiLowerCase(email)).digest("hex");
}

async function findHolderRecords(
  models: PrismaModels,
  targetId: string,
): Promise<(string | null)[]> {
  const lines = await models.auditLog.findMany({
    where: { targetType: TARGET_TYPE, targetId },
    select: { detail: true },
    take: MAX_HOLDERS,
  });
  return lines.map(({ detail }) => detail);
}

/** The identity a record names; null = somebody unknown. */
function identityIdOf(detail: string | null): string | null {
  const record: unknown = JSON.parse(detail ?? "null");
  if (typeof record !== "object" || record === null || !("identityId" in record)) return null;
  return typeof record.identityId === "string" ? record.identityId : null;
}
