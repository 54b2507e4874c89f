// The audit log's one INSERT: administrators' writes and what happens to accounts by themselves.
import { newId } from "../lib/ids.ts";
import type { AuditLine, PrismaModels } from "./ports.ts";

/** Writes a line, under an id of its own unless one is given. */
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
