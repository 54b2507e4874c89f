// Records who has held an address. The record belongs to the address and outlives accounts, so that nobody can shed it
// by deleting an account and returning.
import { createHash } from "node:crypto";
import { writeAuditLine } from "../../database/audit-log.ts";
import type { PrismaModels } from "../../database/ports.ts";
import { asciiLowerCase } from "../../lib/text.ts";

const TARGET_TYPE = "address";
/** More holders than any honest mailbox has had. With this many, the address counts as held by another. */
const MAX_HOLDERS = 50;

/** An account that is about to lose its address. */
interface Holder {
  readonly id: string;
  readonly email: string;
  readonly addressTakenAt: Date | null;
}

/** Returns an address for an account that lost its own: unique, in a domain that never receives mail (RFC 2606). */
export function releasedEmail(userId: string): string {
  return `released-${userId}@released.invalid`;
}

/** Records who held the account's address. Call before the address or the account's identities change. */
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
  // The address had been taken over from somebody whose identity may no longer be on record.
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

/** A hash of the address, so that a record does not show whose address it is. */
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

/** Returns the identity that a record names; null = the holder is unknown. */
function identityIdOf(detail: string | null): string | null {
  const record: unknown = JSON.parse(detail ?? "null");
  if (typeof record !== "object" || record === null || !("identityId" in record)) return null;
  return typeof record.identityId === "string" ? record.identityId : null;
}
