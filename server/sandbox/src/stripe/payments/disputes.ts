// Disputes: opened, won and lost through the controls, read through the API.
import type { Route } from "../api/route.ts";
import { listOfPayments } from "../api/lists.ts";
import { newDispute } from "../objects/new-payment.ts";
import type { Charge, Dispute, Json } from "../objects/types.ts";
import { badParam } from "../api/wire.ts";
import { need, snapshot, type World } from "../state/world.ts";

const FEE_MINOR = 1500;

function transaction(
  world: World,
  dispute: Dispute,
  { amount, fee, category }: { amount: number; fee: number; category: string },
): { [field: string]: Json } {
  return {
    id: world.newId("txn"),
    object: "balance_transaction",
    amount,
    available_on: world.wallNow(),
    balance_type: "payments",
    created: world.wallNow(),
    currency: dispute.currency,
    description: `Chargeback ${category} for ${dispute.charge}`,
    exchange_rate: null,
    fee,
    fee_details: [],
    net: amount - fee,
    reporting_category: category,
    source: dispute.id,
    status: "available",
    type: "adjustment",
  };
}

/** Opens a cardholder's dispute of a charge. An `inquiry` withdraws no funds yet. */
export function openDispute(
  world: World,
  charge: Charge,
  given: { amount?: number; reason?: string; inquiry?: boolean } = {},
): Dispute {
  if (charge.status !== "succeeded" || charge.disputed)
    throw badParam("This charge cannot be disputed.", "charge");
  const dispute = newDispute(world.newId("du"), world.wallNow(), {
    charge,
    amount: given.amount ?? charge.amount - charge.amount_refunded,
    reason: given.reason ?? "fraudulent",
    status: given.inquiry === true ? "warning_needs_response" : "needs_response",
  });
  world.tables.disputes.set(dispute.id, dispute);
  charge.disputed = true;
  if (given.inquiry !== true) {
    dispute.balance_transactions.push(
      transaction(world, dispute, { amount: -dispute.amount, fee: FEE_MINOR, category: "dispute" }),
    );
  }
  world.emit("charge.dispute.created", dispute);
  if (given.inquiry !== true) world.emit("charge.dispute.funds_withdrawn", dispute);
  world.emit("charge.updated", charge, { ...snapshot(charge), disputed: false });
  return dispute;
}

/** Closes a dispute. Winning one reinstates the funds; winning an inquiry makes it `warning_closed`. */
export function closeDispute(world: World, dispute: Dispute, outcome: "won" | "lost"): void {
  if (["won", "lost", "warning_closed"].includes(dispute.status)) return;
  const inquiry = dispute.status.startsWith("warning_");
  const before = snapshot(dispute);
  dispute.status = inquiry && outcome === "won" ? "warning_closed" : outcome;
  if (outcome === "won" && !inquiry) {
    dispute.balance_transactions.push(
      transaction(world, dispute, { amount: dispute.amount, fee: 0, category: "dispute_reversal" }),
    );
  }
  world.emit("charge.dispute.updated", dispute, before);
  if (outcome === "won" && !inquiry) world.emit("charge.dispute.funds_reinstated", dispute);
  world.emit("charge.dispute.closed", dispute);
}

/** Routes of this file. */
export const disputeRoutes: Route[] = [
  listOfPayments("/v1/disputes", (world) => world.tables.disputes),
  {
    method: "GET",
    path: "/v1/disputes/:id",
    handle: ({ world, ids }) => need(world.tables.disputes, "dispute", ids[0] ?? ""),
  },
];
