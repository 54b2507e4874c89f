// The payment store: its tables, and transactions that commit them together with ledger entries.
import { writeAuditLine } from "../database/audit-log.ts";
import { lockUser } from "../database/lock-user.ts";
import type { Database, DatabaseTransaction, PrismaModels } from "../database/ports.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { PaymentStore, PaymentTables, PaymentTransaction } from "./ports.ts";
import { checkoutTable } from "./store/checkouts.store.ts";
import { customerTable } from "./store/customers.store.ts";
import { eventTable } from "./store/events.store.ts";
import { grantTable } from "./store/grants.store.ts";
import { offerTable } from "./store/offers.store.ts";
import { paymentTable } from "./store/payments.store.ts";
import { subscriptionTable } from "./store/subscriptions.store.ts";

/** Dependencies of the store. */
export interface PaymentStoreDeps {
  readonly database: Database;
  readonly ledger: Pick<Ledger, "applyIn">;
  /** Called with money taken or given back, before `tx` commits: counts only if `tx` does, as it may be retried. */
  readonly onMoney?: (
    tx: DatabaseTransaction,
    money: { readonly minorUnits: number; readonly currency: string },
  ) => void;
}

/** Returns the store over either database. */
export function createPaymentStore(deps: PaymentStoreDeps): PaymentStore {
  const { database } = deps;
  return {
    ...paymentTables(database.models),
    transaction: (work) => database.transaction((tx) => work(toTransaction(tx, deps))),
    lockedTransaction: (userId, work) =>
      database.transaction(async (tx) => {
        await lockUser(tx, userId);
        return work(toTransaction(tx, deps));
      }),
  };
}

/** Returns the tables over `models`, inside or outside a transaction. */
export function paymentTables(models: PrismaModels): PaymentTables {
  return {
    offers: offerTable(models),
    customers: customerTable(models),
    checkouts: checkoutTable(models),
    payments: paymentTable(models),
    subscriptions: subscriptionTable(models),
    events: eventTable(models),
    grants: grantTable(models),
  };
}

function toTransaction(
  tx: DatabaseTransaction,
  { ledger, onMoney }: PaymentStoreDeps,
): PaymentTransaction {
  return {
    ...paymentTables(tx.models),
    applyToLedger: async (operations) => {
      if (operations.length > 0) await ledger.applyIn(tx, operations);
    },
    noteMoney: (minorUnits, currency) => onMoney?.(tx, { minorUnits, currency }),
    auditRefund: (line) => auditRefund(tx.models, line),
  };
}

async function auditRefund(
  { auditLog }: PrismaModels,
  line: Parameters<PaymentTransaction["auditRefund"]>[0],
): Promise<void> {
  const { refundId, amount, paymentId, actorId, reason, at } = line;
  // Written once per refund, with the rows it changed; the order's own line is written by the administrator's service.
  const id = refundId.slice(-36);
  if ((await auditLog.findUnique({ where: { id } })) !== null) return;
  const target = { targetType: "payment", targetId: paymentId };
  const detail = { refundId, amount };
  await writeAuditLine(
    { auditLog },
    at,
    { ...target, actorId, action: "payment.refund", reason, detail },
    id,
  );
}
