// The merchant's commands of the control API, for curl and for tests in other processes.
import { z } from "zod";
import type { StripeControl } from "./control.ts";

export const whole = z.coerce.number().int();
export const flag = z.union([
  z.boolean(),
  z
    .enum(["true", "false", "1", "0", "on"])
    .transform((it) => it === "true" || it === "1" || it === "on"),
]);
export const text = z.string().min(1).max(500);

export interface Command {
  help: string;
  run(control: StripeControl, input: unknown): unknown;
}

/** A command that validates its input with `schema` before it runs. */
export function command<T extends z.ZodType>(
  help: string,
  schema: T,
  run: (control: StripeControl, input: z.output<T>) => unknown,
): Command {
  return { help, run: (control, input) => run(control, schema.parse(input)) };
}

/** What a merchant can do in the dashboard, with an example of each command's input. */
export const MERCHANT_COMMANDS: { [path: string]: Command } = {
  "merchant/move-subscription": command(
    '{"subscription":"sub_…","price":"price_…","quantity":2,"proration":"create_prorations|always_invoice|none","item":"si_…","add":{"price":"price_…","first":true}}',
    z.object({
      subscription: text,
      price: text.optional(),
      quantity: whole.min(1).optional(),
      proration: z.enum(["create_prorations", "always_invoice", "none"]).optional(),
      item: text.optional(),
      add: z
        .object({ price: text, quantity: whole.min(1).optional(), first: flag.optional() })
        .optional(),
    }),
    (control, { subscription, ...wish }) => control.moveSubscription(subscription, wish),
  ),
  "merchant/cancel-at": command(
    '{"subscription":"sub_…","at":"2027-03-01T00:00:00Z"} or {"at":null}',
    z.object({ subscription: text, at: z.coerce.date().nullable() }),
    (control, it) => control.setCancelAt(it.subscription, it.at),
  ),
  "merchant/cancel-subscription": command(
    '{"subscription":"sub_…","prorate":true,"invoiceNow":true}',
    z.object({ subscription: text, prorate: flag.optional(), invoiceNow: flag.optional() }),
    (control, { subscription, ...given }) => control.cancelSubscriptionNow(subscription, given),
  ),
  "merchant/credit-note": command(
    '{"invoice":"in_…","amount":500,"refundAmount":200,"creditAmount":300,"outOfBandAmount":0}',
    z.object({
      invoice: text,
      amount: whole.min(1),
      refundAmount: whole.min(0).optional(),
      creditAmount: whole.min(0).optional(),
      outOfBandAmount: whole.min(0).optional(),
    }),
    (control, wish) => control.issueCreditNote(wish),
  ),
  "merchant/void-credit-note": command(
    '{"creditNote":"cn_…"}',
    z.object({ creditNote: text }),
    (control, it) => control.voidCreditNote(it.creditNote),
  ),
  "merchant/adjust-balance": command(
    '{"customer":"cus_…","amount":-500,"description":"goodwill"}: negative is credit',
    z.object({ customer: text, amount: whole, description: text.optional() }),
    (control, it) => control.adjustBalance(it.customer, it.amount, it.description),
  ),
  "merchant/delete-customer": command(
    '{"customer":"cus_…"}',
    z.object({ customer: text }),
    (control, it) => control.deleteCustomer(it.customer),
  ),
  "merchant/archive-price": command(
    '{"price":"price_…","archived":true}',
    z.object({ price: text, archived: flag.optional() }),
    (control, it) => control.archivePrice(it.price, it.archived),
  ),
};
