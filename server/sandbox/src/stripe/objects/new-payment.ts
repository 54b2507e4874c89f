// Freshly made payment intents, charges, refunds and disputes, with every field of the real API.
import { EMPTY_ADDRESS } from "./new-catalog.ts";
import type { Charge, Dispute, Metadata, PaymentIntent, Refund } from "./types.ts";

/** A new payment intent; `amount` in minor units, `created` in unix seconds. */
export function newPaymentIntent(
  id: string,
  created: number,
  given: {
    amount: number;
    currency: string;
    customer: string | null;
    description: string | null;
    metadata: Metadata;
    setupFutureUsage: string | null;
  },
): PaymentIntent {
  return {
    id,
    object: "payment_intent",
    allowed_payment_method_types: null,
    amount: given.amount,
    amount_capturable: 0,
    amount_details: { tip: {} },
    amount_received: 0,
    application: null,
    application_fee_amount: null,
    automatic_payment_methods: null,
    canceled_at: null,
    cancellation_reason: null,
    capture_method: "automatic_async",
    client_secret: `${id}_secret_sandbox`,
    confirmation_method: "automatic",
    created,
    currency: given.currency,
    customer: given.customer,
    customer_account: null,
    description: given.description,
    excluded_payment_method_types: null,
    last_payment_error: null,
    latest_charge: null,
    livemode: false,
    managed_payments: { enabled: false },
    metadata: given.metadata,
    next_action: null,
    on_behalf_of: null,
    payment_method: null,
    payment_method_configuration_details: null,
    payment_method_options: {
      card: {
        installments: null,
        mandate_options: null,
        network: null,
        request_three_d_secure: "automatic",
      },
    },
    payment_method_types: ["card"],
    payment_record: null,
    processing: null,
    receipt_email: null,
    review: null,
    setup_future_usage: given.setupFutureUsage,
    shipping: null,
    source: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status: "requires_payment_method",
    transfer_data: null,
    transfer_group: null,
  };
}

/** The fields of a charge that start out empty. */
function blankCharge() {
  return {
    amount_refunded: 0,
    application: null,
    application_fee: null,
    application_fee_amount: null,
    disputed: false,
    failure_balance_transaction: null,
    fraud_details: {},
    livemode: false,
    on_behalf_of: null,
    receipt_email: null,
    receipt_number: null,
    refunded: false,
    review: null,
    shipping: null,
    source: null,
    source_transfer: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    transfer_data: null,
    transfer_group: null,
  };
}

/** The card as a charge shows it. */
function chargedCard(amount: number, last4: string, failed: boolean) {
  return {
    amount_authorized: failed ? null : amount,
    authorization_code: failed ? null : "123456",
    brand: "visa",
    checks: { address_line1_check: null, address_postal_code_check: null, cvc_check: "pass" },
    country: "US",
    electronic_commerce_indicator: null,
    exp_month: 12,
    exp_year: 2034,
    extended_authorization: { status: "disabled" },
    fingerprint: "SandboxCard42424",
    funding: "credit",
    incremental_authorization: { status: "unavailable" },
    installments: null,
    last4,
    mandate: null,
    multicapture: { status: "unavailable" },
    network: "visa",
    network_token: { used: false },
    network_transaction_id: "104102110109955",
    overcapture: { maximum_amount_capturable: amount, status: "unavailable" },
    regulated_status: "unregulated",
    three_d_secure: null,
    transaction_link_id: null,
    wallet: null,
  };
}

/** A new charge of a payment intent in the given state. */
export function newCharge(
  id: string,
  created: number,
  given: {
    intent: PaymentIntent;
    status: Charge["status"];
    paymentMethod: string;
    last4: string;
    email: string | null;
    receiptUrl: string | null;
    balanceTransaction: string | null;
  },
): Charge {
  const succeeded = given.status === "succeeded";
  const failed = given.status === "failed";
  return {
    id,
    object: "charge",
    ...blankCharge(),
    amount: given.intent.amount,
    amount_captured: failed ? 0 : given.intent.amount,
    balance_transaction: given.balanceTransaction,
    billing_details: {
      address: EMPTY_ADDRESS,
      email: given.email,
      name: null,
      phone: null,
      tax_id: null,
    },
    calculated_statement_descriptor: "SKYWORK SANDBOX",
    captured: !failed,
    created,
    currency: given.intent.currency,
    customer: given.intent.customer,
    description: given.intent.description,
    failure_code: failed ? "card_declined" : null,
    failure_message: failed ? "Your card was declined." : null,
    metadata: { ...given.intent.metadata },
    outcome: {
      advice_code: null,
      network_advice_code: null,
      network_decline_code: null,
      network_status: failed ? "declined_by_network" : "approved_by_network",
      reason: failed ? "generic_decline" : null,
      risk_level: "normal",
      risk_score: 12,
      seller_message: failed
        ? "The bank did not return any further details with this decline."
        : "Payment complete.",
      type: failed ? "issuer_declined" : "authorized",
    },
    paid: succeeded,
    payment_intent: given.intent.id,
    payment_method: given.paymentMethod,
    payment_method_details: {
      card: chargedCard(given.intent.amount, given.last4, failed),
      type: "card",
    },
    receipt_url: given.receiptUrl,
    status: given.status,
  };
}

/** A new refund of a charge. */
export function newRefund(
  id: string,
  created: number,
  given: {
    charge: Charge;
    amount: number;
    reason: string | null;
    metadata: Metadata;
    status: Refund["status"];
    balanceTransaction: string | null;
  },
): Refund {
  return {
    id,
    object: "refund",
    amount: given.amount,
    balance_transaction: given.balanceTransaction,
    charge: given.charge.id,
    created,
    currency: given.charge.currency,
    customer: given.charge.customer,
    customer_account: null,
    destination_details: {
      card: {
        reference_status: "pending",
        reference_type: "acquirer_reference_number",
        type: "refund",
      },
      type: "card",
    },
    metadata: given.metadata,
    payment_intent: given.charge.payment_intent,
    payment_method: given.charge.payment_method,
    reason: given.reason,
    receipt_number: null,
    source_transfer_reversal: null,
    status: given.status,
    transfer_reversal: null,
  };
}

const NO_EVIDENCE = Object.fromEntries(
  [
    ..."access_activity_log billing_address cancellation_policy cancellation_policy_disclosure".split(
      " ",
    ),
    ..."cancellation_rebuttal customer_communication customer_email_address customer_name".split(
      " ",
    ),
    ..."customer_purchase_ip customer_signature duplicate_charge_documentation".split(" "),
    ..."duplicate_charge_explanation duplicate_charge_id product_description receipt".split(" "),
    ..."refund_policy refund_policy_disclosure refund_refusal_explanation service_date".split(" "),
    ..."service_documentation shipping_address shipping_carrier shipping_date".split(" "),
    ..."shipping_documentation shipping_tracking_number uncategorized_file uncategorized_text".split(
      " ",
    ),
  ].map((name) => [name, null]),
);

/** A new dispute of a charge; `status` is `needs_response` or, for an inquiry, `warning_needs_response`. */
export function newDispute(
  id: string,
  created: number,
  given: { charge: Charge; amount: number; reason: string; status: string },
): Dispute {
  return {
    id,
    object: "dispute",
    amount: given.amount,
    balance_transactions: [],
    charge: given.charge.id,
    created,
    currency: given.charge.currency,
    enhanced_eligibility_types: [],
    evidence: { ...NO_EVIDENCE, enhanced_evidence: {} },
    evidence_details: {
      due_by: created + 9 * 86_400,
      enhanced_eligibility: {},
      has_evidence: false,
      past_due: false,
      submission_count: 0,
      submission_method: "manual",
    },
    intended_submission_method: null,
    is_charge_refundable: given.status.startsWith("warning_"),
    livemode: false,
    metadata: {},
    payment_intent: given.charge.payment_intent,
    payment_method_details: {
      card: { brand: "visa", case_type: "chargeback", network: "visa", network_reason_code: "83" },
      type: "card",
    },
    reason: given.reason,
    status: given.status,
  };
}
