// The credit notes API: create, preview, read, list, change, void.
import type { Call, Route } from "../api/route.ts";
import {
  type CreditNoteRequest,
  issueCreditNote,
  planCreditNote,
  voidCreditNote,
} from "./crediting.ts";
import { createdRange, list, page } from "../api/lists.ts";
import type { CreditLine } from "../objects/new-credit.ts";
import type { Json } from "../objects/types.ts";
import { badParam, type Fields, mergeMetadata } from "../api/wire.ts";
import { change, need, type World } from "../state/world.ts";

const REASONS = ["duplicate", "fraudulent", "order_change", "product_unsatisfactory"] as const;

function readLine(world: World, invoice: string, fields: Fields): CreditLine {
  const type = fields.oneOf("type", ["custom_line_item", "invoice_line_item"]);
  const lineId = fields.text("invoice_line_item");
  const line = world.tables.invoices.get(invoice)?.lines.data.find((it) => it.id === lineId);
  const quantity = fields.int("quantity");
  const unit = fields.int("unit_amount");
  const amount = fields.int("amount");
  const description = fields.text("description");
  const metadata = mergeMetadata({}, fields.metadata());
  fields.ignore("tax_amounts", "tax_rates");
  if (type === "invoice_line_item" && line === undefined) {
    throw badParam(
      `No such invoice line item: '${lineId ?? ""}'`,
      fields.param("invoice_line_item"),
      "resource_missing",
    );
  }
  const each = line === undefined ? (unit ?? 0) : line.amount / line.quantity;
  return {
    amount: amount ?? Math.round(each * (quantity ?? line?.quantity ?? 1)),
    description: description ?? line?.description ?? null,
    quantity: quantity ?? line?.quantity ?? 1,
    invoiceLine: line?.id ?? null,
    metadata,
  };
}

function readWish({ world, fields }: Call): CreditNoteRequest {
  const invoice = fields.needText("invoice");
  const [refund] = fields.maps("refunds");
  refund?.ignore("amount_refunded", "type");
  const wish: CreditNoteRequest = {
    invoice,
    amount: fields.int("amount"),
    lines: fields.maps("lines").map((line) => readLine(world, invoice, line)),
    creditAmount: fields.int("credit_amount"),
    refundAmount: fields.int("refund_amount"),
    outOfBandAmount: fields.int("out_of_band_amount"),
    refund: refund?.text("refund"),
    reason: fields.oneOf("reason", REASONS) ?? null,
    memo: fields.text("memo") ?? null,
    metadata: mergeMetadata({}, fields.metadata()),
  };
  fields.ignore("email_type", "effective_at", "shipping_cost");
  return wish;
}

const find = (world: World, id: string) => need(world.tables.creditNotes, "credit note", id);

/** Routes of this file. */
export const creditNoteRoutes: Route[] = [
  {
    method: "POST",
    path: "/v1/credit_notes",
    handle: (call) => {
      const wish = readWish(call);
      call.fields.done();
      return issueCreditNote(call.world, wish);
    },
  },
  {
    method: "GET",
    path: "/v1/credit_notes/preview",
    handle: (call) => {
      const wish = readWish(call);
      call.fields.ignore("expand");
      call.fields.done();
      return planCreditNote(call.world, wish);
    },
  },
  {
    method: "GET",
    path: "/v1/credit_notes/preview/lines",
    handle: (call) => ({
      ...list(
        "/v1/credit_notes/preview/lines",
        planCreditNote(call.world, readWish(call)).lines.data,
      ),
    }),
  },
  {
    method: "GET",
    path: "/v1/credit_notes",
    handle: ({ world, fields }) => {
      const invoice = fields.text("invoice");
      const customer = fields.text("customer");
      const created = createdRange(fields);
      const out = page(
        fields,
        "/v1/credit_notes",
        world.tables.creditNotes.values(),
        (it) =>
          (invoice === undefined || it.invoice === invoice) &&
          (customer === undefined || it.customer === customer) &&
          created(it.created),
      );
      fields.done();
      return { ...out };
    },
  },
  {
    method: "GET",
    path: "/v1/credit_notes/:id",
    handle: ({ world, ids }) => find(world, ids[0] ?? ""),
  },
  {
    method: "GET",
    path: "/v1/credit_notes/:id/lines",
    handle: ({ world, ids, fields }): Json => {
      const note = find(world, ids[0] ?? "");
      return { ...page(fields, note.lines.url, [...note.lines.data].reverse(), () => true) };
    },
  },
  {
    method: "POST",
    path: "/v1/credit_notes/:id",
    handle: ({ world, ids, fields }) => {
      const note = find(world, ids[0] ?? "");
      const memo = fields.text("memo");
      const metadata = fields.metadata();
      fields.done();
      change(world, note, "credit_note.updated", (it) => {
        if (memo !== undefined) it.memo = memo || null;
        it.metadata = mergeMetadata(it.metadata, metadata);
      });
      return note;
    },
  },
  {
    method: "POST",
    path: "/v1/credit_notes/:id/void",
    handle: ({ world, ids, fields }) => {
      fields.done();
      const note = find(world, ids[0] ?? "");
      voidCreditNote(world, note);
      return note;
    },
  },
];
