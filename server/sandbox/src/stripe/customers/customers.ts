// Customers and their saved cards.
import type { Call, Route } from "../api/route.ts";
import { moveBalance } from "./balance.ts";
import { createdRange, page } from "../api/lists.ts";
import { newCard, newCustomer } from "../objects/new-catalog.ts";
import type { Customer, Json } from "../objects/types.ts";
import { badParam, mergeMetadata } from "../api/wire.ts";
import { change, need, type World } from "../state/world.ts";

/** Stores a customer and emits `customer.created`. */
export function addCustomer(world: World, given: Parameters<typeof newCustomer>[2]): Customer {
  const customer = newCustomer(world.newId("cus", 14), world.wallNow(), given);
  world.tables.customers.set(customer.id, customer);
  world.emit("customer.created", customer);
  return customer;
}

/** The customer's card, created on first use. `last4` reflects whether it is failing now. */
export function cardOf(world: World, customer: Customer): { id: string; last4: string } {
  const last4 = world.hidden.failingCards.has(customer.id) ? "0341" : "4242";
  const saved = customer.invoice_settings.default_payment_method;
  if (typeof saved === "string") return { id: saved, last4 };
  const card = newCard(world.newId("pm"), world.wallNow(), {
    customer: customer.id,
    email: customer.email,
    last4,
  });
  world.tables.paymentMethods.set(card.id, card);
  world.emit("payment_method.attached", card);
  change(world, customer, "customer.updated", (it) => {
    it.invoice_settings = { ...it.invoice_settings, default_payment_method: card.id };
  });
  return { id: card.id, last4 };
}

const ignoredCustomerFields = [
  "address",
  "shipping",
  "preferred_locales",
  "tax",
  "tax_exempt",
  "invoice_prefix",
];

function updateCustomer({ world, ids, fields }: Call): Json {
  const customer = need(world.tables.customers, "customer", ids[0] ?? "");
  const given = {
    email: fields.text("email"),
    name: fields.text("name"),
    phone: fields.text("phone"),
    description: fields.text("description"),
  };
  const metadata = fields.metadata();
  const balance = fields.int("balance");
  const settings = fields.map("invoice_settings");
  const method = settings?.text("default_payment_method");
  fields.ignore(...ignoredCustomerFields);
  fields.done();
  if (balance !== undefined && balance !== customer.balance) {
    moveBalance(world, customer, {
      amount: balance - customer.balance,
      type: "adjustment",
      currency: customer.currency ?? "usd",
    });
  }
  change(world, customer, "customer.updated", (it) => {
    for (const [name, value] of Object.entries(given)) {
      if (value !== undefined) it[name] = value === "" ? null : value;
    }
    if (method !== undefined) {
      it.invoice_settings = { ...it.invoice_settings, default_payment_method: method || null };
    }
    it.metadata = mergeMetadata(it.metadata, metadata);
  });
  return customer;
}

/** Routes of this file. */
export const customerRoutes: Route[] = [
  {
    method: "POST",
    path: "/v1/customers",
    handle: ({ world, fields }) => {
      const given = {
        email: fields.text("email"),
        name: fields.text("name"),
        phone: fields.text("phone"),
        description: fields.text("description"),
        metadata: mergeMetadata({}, fields.metadata()),
      };
      const balance = fields.int("balance") ?? 0;
      fields.ignore(...ignoredCustomerFields, "invoice_settings");
      fields.done();
      if (given.email !== undefined && !given.email.includes("@")) {
        throw badParam(`Invalid email address: ${given.email}`, "email", "email_invalid");
      }
      const made = addCustomer(world, given);
      if (balance !== 0)
        moveBalance(world, made, { amount: balance, type: "adjustment", currency: "usd" });
      return made;
    },
  },
  {
    method: "GET",
    path: "/v1/customers",
    handle: ({ world, fields }) => {
      const email = fields.text("email");
      const created = createdRange(fields);
      const out = page(
        fields,
        "/v1/customers",
        world.tables.customers.values(),
        (it) => (email === undefined || it.email === email) && created(it.created),
      );
      fields.done();
      return { ...out };
    },
  },
  {
    method: "GET",
    path: "/v1/customers/:id",
    handle: ({ world, ids }) => {
      const id = ids[0] ?? "";
      if (world.hidden.deletedCustomers.has(id)) return { id, object: "customer", deleted: true };
      return need(world.tables.customers, "customer", id);
    },
  },
  { method: "POST", path: "/v1/customers/:id", handle: updateCustomer },
  {
    method: "GET",
    path: "/v1/customers/:id/payment_methods",
    handle: ({ world, ids, fields }) => {
      const customer = need(world.tables.customers, "customer", ids[0] ?? "", "customer");
      fields.ignore("type");
      return {
        ...page(
          fields,
          `/v1/customers/${customer.id}/payment_methods`,
          world.tables.paymentMethods.values(),
          (it) => it.customer === customer.id,
        ),
      };
    },
  },
  {
    method: "GET",
    path: "/v1/payment_methods/:id",
    handle: ({ world, ids }) => need(world.tables.paymentMethods, "PaymentMethod", ids[0] ?? ""),
  },
];
