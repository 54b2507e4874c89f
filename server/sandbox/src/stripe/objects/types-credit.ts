// The shapes of customer credit: balance transactions, pending invoice items, credit notes.
import type { Json, Metadata, StripeObject } from "./types.ts";

export type BalanceReason =
  | "adjustment"
  | "applied_to_invoice"
  | "credit_note"
  | "unapplied_from_invoice";

export interface CustomerBalanceTransaction extends StripeObject {
  object: "customer_balance_transaction";
  /** Minor units; negative is credit in the customer's favour. */
  amount: number;
  created: number;
  credit_note: string | null;
  currency: string;
  customer: string;
  description: string | null;
  ending_balance: number;
  invoice: string | null;
  metadata: Metadata;
  type: BalanceReason;
}

export interface InvoiceItem extends StripeObject {
  object: "invoiceitem";
  amount: number;
  currency: string;
  customer: string;
  date: number;
  description: string | null;
  /** The invoice that took it; null while it is pending. */
  invoice: string | null;
  metadata: Metadata;
  proration: boolean;
  quantity: number;
}

export interface CreditNote extends StripeObject {
  object: "credit_note";
  amount: number;
  created: number;
  currency: string;
  customer: string;
  customer_balance_transaction: string | null;
  invoice: string;
  lines: { object: "list"; data: StripeObject[]; has_more: boolean; url: string };
  memo: string | null;
  metadata: Metadata;
  number: string;
  out_of_band_amount: number | null;
  post_payment_amount: number;
  pre_payment_amount: number;
  refunds: Json[];
  status: "issued" | "void";
  type: "mixed" | "post_payment" | "pre_payment";
  voided_at: number | null;
}
