// The ledger's lots that come from payments. Read only: just server/ledger writes them.
import type { PrismaModels } from "../../database/ports.ts";
import type { GrantTable } from "../ports.ts";

export function grantTable({ creditGrant: rows }: PrismaModels): GrantTable {
  return {
    existing: async (grantKeys) => {
      const found = await rows.findMany({
        where: { grantKey: { in: [...grantKeys] } },
        select: { grantKey: true },
      });
      return new Set(found.map(({ grantKey }) => grantKey));
    },
    expiresAt: async (grantKey) => {
      const lot = await rows.findUnique({ where: { grantKey }, select: { expiresAt: true } });
      return lot?.expiresAt ?? null;
    },
    ofPayments: (userId, paymentIds) =>
      rows.findMany({
        where: { userId, source: "SUBSCRIPTION", sourceId: { in: [...paymentIds] } },
        orderBy: [{ createdAt: "asc" }, { id: "asc" }],
        select: { grantKey: true, expiresAt: true },
      }),
  };
}
