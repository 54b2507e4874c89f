// The audit log's single INSERT, for administrators' writes and for automatic changes to accounts.
import { newId } from "../lib/ids.ts";
import type { AuditLine, PrismaModels } from "./ports.ts";

/** Writes one audit line. `id` defaults to a new one. */
export async function writeAuditLine(
  { auditLog }: Pick<PrismaModels, "auditLog">,
  at: Date,
  { detail, ip = null, ...line }: AuditLine,
  id: string = newId(at.getTime()),
): Promise<void> {
  const text = detail === undefined ? null : JSON.stringify(detail);
  await auditLog.create({
    data: { ...line, id, detail: text, ipAddress: ip, createdAt: at },
  });
}
