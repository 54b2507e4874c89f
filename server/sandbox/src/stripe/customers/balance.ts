// The customer's balance: every change is a transaction, with an API to list and create them.
import type { Call, Route } from "../api/route.ts";
import { page } from "../api/lists.ts";
import type { Customer, Json, Metadata } from "../objects/types.ts";
import type { BalanceReason, CustomerBalanceTransaction } from "../objects/types-credit.ts";
import { badParam, mergeMetadata } from "../api/wire.ts";
import { change, need, type World } from "../state/world.ts";

/** Changes a customer's balance by `amount` (minor units; negative is credit) and records the transaction. */
export function moveBalance(
  world: World,
  customer: Customer,
  given: {
    amount: number;
    type: BalanceReason;
    currency: string;
    invoice?: string;
    creditNote?: string;
    description?: string | null;
    metadata?: Metadata;
  },
): CustomerBalanceTransaction {
  const made: CustomerBalanceTransaction = {
    id: world.newId("cbtxn"),
    object: "customer_balance_transaction",
    amount: given.amount,
    checkout_session: null,
    created: world.billingNow(),
    credit_note: given.creditNote ?? null,
    currency: given.currency,
    customer: customer.id,
    customer_account: null,
    description: given.description ?? null,
    ending_balance: customer.balance + given.amount,
    invoice: given.invoice ?? null,
    livemode: false,
    metadata: given.metadata ?? {},
    type: given.type,
  };
  world.tables.balanceTransactions.set(made.id, made);
  change(world, customer, "customer.updated", (it) => {
    it.balance += given.amount;
    it.currency = it.currency ?? given.currency;
  });
  return made;
}

function create({ world, ids, fields }: Call): Json {
  const customer = need(world.tables.customers, "customer", ids[0] ?? "", "customer");
  const amount = fields.needInt("amount");
  const currency = fields.needText("currency").toLowerCase();
  const description = fields.text("description") || null;
  const metadata = mergeMetadata({}, fields.metadata());
  fields.done();
  if (customer.currency !== null && customer.currency !== currency) {
    throw badParam(
      `The specified currency (${currency}) does not match the customer's currency (${customer.currency}).`,
      "currency",
      "parameter_invalid",
    );
  }
  return moveBalance(world, customer, {
    amount,
    type: "adjustment",
    currency,
    description,
    metadata,
  });
}

function own(world: World, customer: string, id: string): CustomerBalanceTransaction {
  const found = need(world.tables.balanceTransactions, "customer balance transaction", id);
  need(world.tables.customers, "customer", customer, "customer");
  return found;
}

const PATH = "/v1/customers/:id/balance_transactions";

/** Routes of this file. */
export const balanceRoutes: Route[] = [
  { method: "POST", path: PATH, handle: create },
  {
    method: "GET",
    path: PATH,
    handle: ({ world, ids, fields }) => {
      const customer = need(world.tables.customers, "customer", ids[0] ?? "", "customer");
      const invoice = fields.text("invoice");
      const out = page(
        fields,
        `/v1/customers/${customer.id}/balance_transactions`,
        world.tables.balanceTransactions.values(),
        (it) => it.customer === customer.id && (invoice === undefined || it.invoice === invoice),
      );
      fields.done();
      return { ...out };
    },
  },
  {
    method: "GET",
    path: `${PATH}/:txn`,
    handle: ({ world, ids }) => own(world, ids[0] ?? "", ids[1] ?? ""),
  },
  {
    method: "POST",
    path: `${PATH}/:txn`,
    handle: ({ world, ids, fields }) => {
      const found = own(world, ids[0] ?? "", ids[1] ?? "");
      const description = fields.text("description");
      found.metadata = mergeMetadata(found.metadata, fields.metadata());
      fields.done();
      if (description !== undefined) found.description = description || null;
      return found;
    },
  },
];
