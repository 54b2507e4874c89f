// The table `payments`.
import { paymentState } from "../../../shared/src/payment.ts";
import type { PrismaModels } from "../../database/ports.ts";
import type { PaymentTable } from "../ports.ts";

/** Without the invoice's lines, which may be arbitrarily long. */
const PAYMENT_LINE = {
  id: true,
  amount: true,
  currency: true,
  status: true,
  creditsPurchased: true,
  refundedAmount: true,
  createdAt: true,
} as const;

type Rows = PrismaModels["payment"];

export function paymentTable({ payment: rows }: PrismaModels): PaymentTable {
  return {
    find: (where) => rows.findUnique({ where }),
    create: async (payment) => void (await rows.create({ data: payment })),
    update: async (id, change) => void (await rows.update({ where: { id }, data: change })),
    failUnpaid: async (id) => {
      await rows.updateMany({ where: { id, paidAt: null }, data: { status: "FAILED" } });
    },
    history: (userId, page) => readHistory(rows, userId, page),
    pending: (before, page) => readPending(rows, before, page),
    paidInvoices: (invoiceIds) => readPaidInvoices(rows, invoiceIds),
    invoicesOf: (subscriptionId, since) => readInvoices(rows, subscriptionId, since),
    creditsPurchased: (paymentIds) => readCreditsPurchased(rows, paymentIds),
    paidOf: ({ id: subscriptionId, userId }) =>
      rows.findMany({
        where: { userId, subscriptionId, paidAt: { not: null } },
        orderBy: [{ createdAt: "asc" }, { id: "asc" }],
      }),
  };
}

async function readPending(
  rows: Rows,
  before: Date,
  { after, take }: Parameters<PaymentTable["pending"]>[1],
): ReturnType<PaymentTable["pending"]> {
  const found = await rows.findMany({
    where: {
      id: { gt: after },
      status: "PENDING",
      stripeSessionId: { not: null },
      createdAt: { lte: before },
    },
    orderBy: { id: "asc" },
    take,
    select: { id: true, stripeSessionId: true },
  });
  return found.map(({ id, stripeSessionId }) => ({ id, stripeSessionId: stripeSessionId ?? "" }));
}

async function readPaidInvoices(rows: Rows, invoiceIds: readonly string[]): Promise<Set<string>> {
  const found = await rows.findMany({
    where: { stripeInvoiceId: { in: [...invoiceIds] }, paidAt: { not: null } },
    select: { stripeInvoiceId: true },
  });
  return new Set(found.map(({ stripeInvoiceId }) => stripeInvoiceId ?? ""));
}

async function readInvoices(
  rows: Rows,
  subscriptionId: string,
  since: Date,
): ReturnType<PaymentTable["invoicesOf"]> {
  const found = await rows.findMany({
    where: {
      subscriptionId,
      stripeInvoiceId: { not: null },
      paidAt: { not: null },
      createdAt: { gte: since },
    },
    select: { id: true, stripeInvoiceId: true },
    orderBy: { createdAt: "asc" },
  });
  return found.map(({ id, stripeInvoiceId }) => ({ id, stripeInvoiceId: stripeInvoiceId ?? "" }));
}

async function readCreditsPurchased(
  rows: Rows,
  paymentIds: readonly string[],
): Promise<Map<string, number>> {
  const found = await rows.findMany({
    where: { id: { in: [...paymentIds] } },
    select: { id: true, creditsPurchased: true },
  });
  return new Map(found.map(({ id, creditsPurchased }) => [id, creditsPurchased]));
}

async function readHistory(
  rows: Rows,
  userId: string,
  { limit, offset = 0 }: Parameters<PaymentTable["history"]>[1],
): ReturnType<PaymentTable["history"]> {
  const where = { userId };
  const total = await rows.count({ where });
  // Do not skip through all rows for a page beyond the last one.
  const found =
    offset >= total
      ? []
      : await rows.findMany({
          where,
          orderBy: [{ createdAt: "desc" }, { id: "desc" }],
          take: limit,
          skip: offset,
          select: PAYMENT_LINE,
        });
  const payments = found.map((row) => ({
    ...row,
    status: paymentState.parse(row.status),
    createdAt: row.createdAt.toISOString(),
  }));
  return { payments, total, limit, offset };
}
