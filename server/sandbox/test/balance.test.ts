// Money owed to a customer on the Stripe stand-in ends up where it does at Stripe: balance, items, credit notes.
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { idOf, invoicesOf, itemOf, subscribe, usePlans, useWorld } from "./support.ts";

const world = useWorld();
const { stripe } = world;
const plans = usePlans(world);

async function balanceOf(customer: string): Promise<number> {
  return ((await stripe.customers.retrieve(customer)) as Stripe.Customer).balance;
}

describe("a customer's balance", () => {
  it("is moved by transactions and used up by the next invoices", async () => {
    const { subscription, customer } = await subscribe(world, plans.basic);
    const given = await stripe.customers.createBalanceTransaction(customer, {
      amount: -1500,
      currency: "usd",
      description: "goodwill",
    });
    expect(given).toMatchObject({
      object: "customer_balance_transaction",
      type: "adjustment",
      amount: -1500,
      ending_balance: -1500,
    });
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const [first] = await invoicesOf(stripe, subscription);
    expect(first).toMatchObject({
      total: 1000,
      amount_due: 0,
      amount_paid: 0,
      starting_balance: -1500,
      ending_balance: -500,
      status: "paid",
    });
    world.sandbox.control.advance({ months: 1 });
    const [second] = await invoicesOf(stripe, subscription);
    expect(second).toMatchObject({ total: 1000, amount_due: 500, amount_paid: 500 });
    expect(second).toMatchObject({ starting_balance: -500, ending_balance: 0 });
    const { data } = await stripe.customers.listBalanceTransactions(customer);
    expect(data.map((it) => [it.type, it.amount, it.ending_balance])).toEqual([
      ["applied_to_invoice", 500, 0],
      ["applied_to_invoice", 1000, -500],
      ["adjustment", -1500, -1500],
    ]);
    expect(data[0]?.invoice).toBe(second?.id);
    expect(
      (await stripe.customers.retrieveBalanceTransaction(customer, given.id)).description,
    ).toBe("goodwill");
    await expect(
      stripe.customers.createBalanceTransaction(customer, { amount: -1, currency: "eur" }),
    ).rejects.toMatchObject({ statusCode: 400, param: "currency" });
  });

  it("takes what a negative invoice gives back", async () => {
    const { subscription, customer } = await subscribe(world, plans.pro);
    await stripe.subscriptions.update(subscription.id, {
      items: [{ id: itemOf(subscription).id, price: plans.basic.id }],
      proration_behavior: "always_invoice",
    });
    const [credit] = await invoicesOf(stripe, subscription);
    expect(credit?.lines.data.map((line) => line.amount)).toEqual([-3000, 1000]);
    expect(credit).toMatchObject({ total: -2000, amount_due: 0, ending_balance: -2000 });
    const [moved] = (await stripe.customers.listBalanceTransactions(customer)).data;
    expect(moved).toMatchObject({ type: "applied_to_invoice", amount: -2000, invoice: credit?.id });
  });

  it("gets the unused time of a subscription cancelled with prorate and invoice_now", async () => {
    const { subscription, customer } = await subscribe(world, plans.pro);
    await stripe.subscriptions.cancel(subscription.id, { prorate: true, invoice_now: true });
    expect(await balanceOf(customer)).toBe(-3000);
    const other = await subscribe(world, plans.pro);
    await stripe.subscriptions.cancel(other.subscription.id);
    expect(await balanceOf(other.customer)).toBe(0);
  });
});

describe("pending invoice items", () => {
  it("wait for the next invoice, prorations among them, and can be listed and deleted", async () => {
    const { subscription, customer } = await subscribe(world, plans.basic);
    const charge = await stripe.invoiceItems.create({
      customer,
      amount: 250,
      currency: "usd",
      description: "setup",
      subscription: subscription.id,
    });
    const dropped = await stripe.invoiceItems.create({ customer, amount: 999, currency: "usd" });
    await stripe.subscriptions.update(subscription.id, {
      items: [{ id: itemOf(subscription).id, quantity: 5 }],
    });
    const pending = await stripe.invoiceItems.list({ customer, pending: true });
    expect(pending.data.map((it) => it.amount).sort((a, b) => a - b)).toEqual([
      -1000, 250, 999, 5000,
    ]);
    expect((await stripe.invoiceItems.del(dropped.id)).deleted).toBe(true);
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const [renewal] = await invoicesOf(stripe, subscription);
    expect(renewal?.lines.data.map((line) => line.amount)).toEqual([250, -1000, 5000, 5000]);
    expect(renewal?.lines.data[1]?.description).toMatch(/^Unused time on Basic after/);
    expect(renewal?.lines.data[2]?.description).toMatch(/^Remaining time on 5 × Basic after/);
    expect((await stripe.invoiceItems.retrieve(charge.id)).invoice).toBe(renewal?.id);
    expect((await stripe.invoiceItems.list({ customer, pending: true })).data).toHaveLength(0);
  });

  it("are taken by an update that is invoiced at once, as its preview says", async () => {
    const { subscription } = await subscribe(world, plans.pro);
    const id = itemOf(subscription).id;
    await stripe.subscriptions.update(subscription.id, { items: [{ id, price: plans.basic.id }] });
    const items = [{ id, price: plans.pro.id }];
    const preview = await stripe.invoices.createPreview({
      subscription: subscription.id,
      subscription_details: { items, proration_behavior: "always_invoice" },
    });
    await stripe.subscriptions.update(subscription.id, {
      items,
      proration_behavior: "always_invoice",
    });
    const [invoice] = await invoicesOf(stripe, subscription);
    expect(invoice?.lines.data).toHaveLength(4);
    expect(invoice?.total).toBe(0);
    expect(preview.total).toBe(0);
  });

  it("are collected when a subscription ends with its period", async () => {
    const { subscription } = await subscribe(world, plans.basic);
    await stripe.subscriptions.update(subscription.id, {
      items: [{ id: itemOf(subscription).id, quantity: 2 }],
    });
    await stripe.subscriptions.update(subscription.id, { cancel_at_period_end: true });
    world.sandbox.control.advance({ months: 1, hours: 2 });
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("canceled");
    const [last] = await invoicesOf(stripe, subscription);
    expect(last).toMatchObject({ total: 1000, status: "paid" });
  });
});

describe("a credit note", () => {
  it("of a paid invoice gives back as refund and balance, and says so on the invoice", async () => {
    const { customer, session } = await subscribe(world, plans.pro);
    const invoice = idOf(session.invoice);
    await world.sandbox.control.idle();
    world.receiver.clear();
    const preview = await stripe.creditNotes.preview({
      invoice,
      amount: 1200,
      credit_amount: 200,
      refund_amount: 1000,
    });
    expect(preview).toMatchObject({ amount: 1200, type: "post_payment" });
    const note = await stripe.creditNotes.create({
      invoice,
      amount: 1200,
      credit_amount: 200,
      refund_amount: 1000,
      reason: "order_change",
    });
    expect(note).toMatchObject({
      object: "credit_note",
      status: "issued",
      amount: 1200,
      post_payment_amount: 1200,
      pre_payment_amount: 0,
      reason: "order_change",
    });
    const refund = await stripe.refunds.retrieve(idOf(note.refunds[0]?.refund));
    expect(refund.amount).toBe(1000);
    expect(await balanceOf(customer)).toBe(-200);
    const [moved] = (await stripe.customers.listBalanceTransactions(customer)).data;
    expect(moved).toMatchObject({ type: "credit_note", credit_note: note.id, amount: -200 });
    const after = await stripe.invoices.retrieve(invoice);
    expect(after).toMatchObject({ status: "paid", post_payment_credit_notes_amount: 1200 });
    expect((await stripe.creditNotes.list({ invoice })).data.map((it) => it.id)).toEqual([note.id]);
    await world.sandbox.control.idle();
    expect(world.receiver.types()).toEqual(
      expect.arrayContaining(["credit_note.created", "charge.refunded", "invoice.updated"]),
    );
    await expect(
      stripe.creditNotes.create({ invoice, amount: 1801, credit_amount: 1801 }),
    ).rejects.toMatchObject({ statusCode: 400 });
    await expect(
      stripe.creditNotes.create({ invoice, amount: 500, credit_amount: 100 }),
    ).rejects.toThrow("must equal");
    const outside = await stripe.creditNotes.create({
      invoice,
      lines: [
        {
          type: "invoice_line_item",
          invoice_line_item: after.lines.data[0]?.id ?? "",
          amount: 300,
        },
      ],
      out_of_band_amount: 300,
    });
    expect(outside).toMatchObject({ amount: 300, out_of_band_amount: 300 });
    expect(outside.lines.data[0]).toMatchObject({ type: "invoice_line_item", amount: 300 });
    expect(await balanceOf(customer)).toBe(-200);
    await expect(stripe.creditNotes.voidCreditNote(note.id)).rejects.toMatchObject({
      statusCode: 400,
    });
  });

  it("of an open invoice lowers what is due, pays it when nothing is left, and can be voided", async () => {
    const { subscription, customer } = await subscribe(world, plans.pro);
    world.sandbox.control.setCard(customer, "failing");
    world.sandbox.control.advance({ months: 1, hours: 2 });
    const [open] = await invoicesOf(stripe, subscription);
    const invoice = open?.id ?? "";
    expect(open).toMatchObject({ status: "open", amount_remaining: 3000 });
    const note = await stripe.creditNotes.create({ invoice, amount: 1000 });
    expect(note.type).toBe("pre_payment");
    expect(await stripe.invoices.retrieve(invoice)).toMatchObject({
      amount_due: 2000,
      amount_remaining: 2000,
      pre_payment_credit_notes_amount: 1000,
    });
    expect((await stripe.creditNotes.voidCreditNote(note.id)).status).toBe("void");
    expect((await stripe.invoices.retrieve(invoice)).amount_remaining).toBe(3000);
    await stripe.creditNotes.create({ invoice, amount: 3000 });
    expect(await stripe.invoices.retrieve(invoice)).toMatchObject({
      status: "paid",
      amount_paid: 0,
      amount_remaining: 0,
    });
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("active");
  });
});
