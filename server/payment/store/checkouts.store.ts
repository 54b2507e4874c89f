// The table `checkouts`.
import type { PrismaModels } from "../../database/ports.ts";
import type { Checkout } from "../payment.types.ts";
import type { CheckoutTable } from "../ports.ts";

export function checkoutTable({ checkout: rows }: PrismaModels): CheckoutTable {
  return {
    find: async (id) => toCheckout(await rows.findUnique({ where: { id } })),
    findBySession: async (stripeSessionId) =>
      toCheckout(await rows.findUnique({ where: { stripeSessionId } })),
    findLive: async (liveKey) => toCheckout(await rows.findUnique({ where: { liveKey } })),
    open: async (userId) => {
      const open = await rows.findMany({ where: { userId, status: "OPEN" } });
      return open.map((row) => toCheckout(row));
    },
    create: async (checkout, liveKey) => {
      await rows.create({ data: { ...checkout, status: "OPEN", liveKey } });
    },
    setSession: async (id, session) => {
      const { count } = await rows.updateMany({
        where: { id, status: "OPEN" },
        data: { stripeSessionId: session.id, url: session.url },
      });
      return count > 0;
    },
    expireOpen: async ({ id, stripeSessionId }) => {
      const { count } = await rows.updateMany({
        where: { id, stripeSessionId, status: "OPEN" },
        data: { status: "EXPIRED", liveKey: null, url: null },
      });
      return count > 0;
    },
    close: async (id, ending) => {
      await rows.update({ where: { id }, data: { ...ending, liveKey: null, url: null } });
    },
    expireWithoutSession: async (now) => {
      const { count } = await rows.updateMany({
        where: { status: "OPEN", stripeSessionId: null, expiresAt: { lt: now } },
        data: { status: "EXPIRED", liveKey: null },
      });
      return count;
    },
  };
}

type Row = NonNullable<Awaited<ReturnType<PrismaModels["checkout"]["findUnique"]>>>;

function toCheckout(row: Row): Checkout;
function toCheckout(row: Row | null): Checkout | null;
function toCheckout(row: Row | null): Checkout | null {
  return row && { ...row, kind: row.kind === "PLAN" ? "PLAN" : "PACKAGE" };
}
