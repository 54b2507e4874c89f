// The sandbox's control page at `/`: its objects, the events it sent, and buttons to make things happen.
import type { ServerResponse } from "node:http";
import { type Html, html, moment, money, sendPage } from "../../html.ts";
import type { StripeControl } from "./control.ts";
import type { EventLog, LoggedEvent } from "../events/events.ts";
import { API_FAULTS } from "../api/misbehaviour.ts";
import type { World } from "../state/world.ts";

const SHOWN = 15;
const SHOWN_EVENTS = 30;

function button(command: string, label: string, fields: { [name: string]: string } = {}): Html {
  return html`<form method="post" action="/_sandbox/${command}">${Object.entries(fields).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`,
  )}<button class="small">${label}</button></form> `;
}

function newest<T>(table: Map<string, T>, many = SHOWN): T[] {
  return [...table.values()].reverse().slice(0, many);
}

function tableCard(title: string, head: string[], rows: Html[], empty = "None yet."): Html {
  const body =
    rows.length === 0
      ? html`<p class="soft">${empty}</p>`
      : html`<div class="scroll" role="region" aria-label="${title}" tabindex="0"><table><tr>${head.map((it) => html`<th>${it}</th>`)}</tr>${rows}</table></div>`;
  return html`<section class="card"><h2>${title}</h2>${body}</section>`;
}

function clockCard(control: StripeControl, world: World): Html {
  return html`<section class="card"><h2>Billing clock</h2><p><b>${moment(world.billingNow())}</b>
<span class="soft">renewals, retries and cancellations happen as it passes them</span></p>
<div class="inline">${button("clock", "+1 hour", { hours: "1" })}${button("clock", "+1 day", { days: "1" })}${button("clock", "+1 week", { days: "7" })}${button("clock", "+1 month and 2 hours", { months: "1", hours: "2" })}${button("clock", "+1 year", { months: "12", hours: "2" })}</div>
<form method="post" action="/_sandbox/clock-offset" class="inline"><label class="field"><span>Wall clock off by seconds (signatures too)</span><input type="number" name="seconds" value="${world.hidden.wallOffsetSeconds}"></label><button>Set</button></form>
<p class="soft">${control.misbehaviours().api.length > 0 ? "The API is misbehaving." : ""}</p></section>`;
}

function misbehaviourCard(control: StripeControl): Html {
  const { api, delivery } = control.misbehaviours();
  return html`<section class="card"><h2>Misbehaviour</h2>
<form method="post" action="/_sandbox/api" class="inline"><select name="fault" aria-label="Fault">${API_FAULTS.map((it) => html`<option>${it}</option>`)}</select>
<input type="number" name="times" value="1" min="1" aria-label="Times"><select name="method" aria-label="Method"><option value="">any method</option><option>POST</option><option>GET</option><option>DELETE</option></select>
<input type="text" name="path" placeholder="/v1/…" aria-label="Path"><button>API fault</button></form>
${api.length > 0 && html`<p class="warn">Waiting: ${api.map((it) => `${it.times} × ${it.fault} ${it.method ?? ""} ${it.path ?? ""}`).join(", ")}</p>`}
<form method="post" action="/_sandbox/delivery" class="inline"><label class="field"><span>duplicate</span><input type="number" name="duplicate" min="0" value="${delivery.duplicate}"></label>
<label class="field"><span>delay ms</span><input type="number" name="delayMs" min="0" value="${delivery.delayMs}"></label>
<label class="field"><span>reorder</span><input type="number" name="reorder" min="0" value="${delivery.reorder}"></label>
<label class="field"><span>drop next</span><input type="number" name="dropNext" min="0" value="${delivery.dropNext}"></label>
<label class="field"><span>drop share</span><input type="number" name="dropShare" min="0" max="1" step="0.05" value="${delivery.dropShare}"></label>
<label class="field"><span>second id</span><select name="secondId"><option value="false">no</option><option value="true" ${delivery.secondId && html`selected`}>yes</option></select></label>
<label class="field"><span>paused</span><select name="paused"><option value="false">no</option><option value="true" ${delivery.paused && html`selected`}>yes</option></select></label><button>Deliver so</button></form>
<p>${button("well-behaved", "Behave well again")}${button("events/resend-undelivered", "Send what was not delivered")}</p></section>`;
}

function eventState(event: LoggedEvent): Html {
  if (event.deliveries.length === 0) return html`<span class="soft">recorded</span>`;
  return html`${event.deliveries.map((it) => {
    const tone =
      it.state === "delivered"
        ? "ok"
        : it.state === "pending" && it.attempts === 0
          ? "soft"
          : "bad";
    const detail =
      it.lastError === null ? "" : ` ${it.lastStatus ?? ""} ${it.lastError.slice(0, 60)}`;
    return html`<span class="${tone}" title="${it.url}">${it.state}${it.attempts > 1 ? ` after ${it.attempts}` : ""}${detail}</span> `;
  })}`;
}

/** Sends the control page. */
export function showControlPage(
  res: ServerResponse,
  world: World,
  log: EventLog,
  control: StripeControl,
): void {
  const { tables, hidden } = world;
  const sessions = newest(tables.sessions).map(
    (
      it,
    ) => html`<tr><td><code>${it.id.slice(0, 18)}…</code></td><td>${it.mode}</td><td>${money(it.amount_total, it.currency)}</td><td>${it.status} · ${it.payment_status}</td>
<td>${it.url !== null && html`<a href="${it.url}">open</a> `}${it.status === "open" && button("checkout/complete", "pay", { session: it.id })}${it.status === "open" && button("checkout/expire", "expire", { session: it.id })}
${hidden.sessionDetails.get(it.id)?.delayed === true && html`${button("checkout/settle", "debit arrives", { session: it.id, paid: "true" })}${button("checkout/settle", "debit fails", { session: it.id, paid: "false" })}`}</td></tr>`,
  );
  const customers = newest(tables.customers).map((it) => {
    const failing = hidden.failingCards.has(it.id);
    return html`<tr><td><code>${it.id}</code></td><td>${it.email ?? ""}</td><td class="${failing ? "bad" : "ok"}">${failing ? "card failing" : "card ok"}</td>
<td>${button("card", failing ? "mend the card" : "make the card fail", { customer: it.id, card: failing ? "ok" : "failing" })}</td></tr>`;
  });
  const subscriptions = newest(tables.subscriptions).map((it) => {
    const [item] = it.items.data;
    return html`<tr><td><code>${it.id}</code></td><td>${tables.products.get(item?.price.product ?? "")?.name ?? ""}</td><td class="${it.status === "active" || it.status === "trialing" ? "ok" : "bad"}">${it.status}${it.cancel_at !== null && it.status !== "canceled" && " · ending"}</td>
<td>${moment(item?.current_period_end ?? 0)}</td><td>${it.status !== "canceled" && button("subscription/cancel", "cancel now", { subscription: it.id })}</td></tr>`;
  });
  const invoices = newest(tables.invoices).map(
    (it) =>
      html`<tr><td><code>${it.id}</code></td><td>${it.billing_reason}</td><td>${money(it.amount_due, it.currency)}</td><td class="${it.status === "paid" ? "ok" : ""}">${it.status}</td><td>${it.status === "open" && button("invoice/pay", "collect", { invoice: it.id })}</td></tr>`,
  );
  const charges = newest(tables.charges).map(
    (
      it,
    ) => html`<tr><td><code>${it.id}</code></td><td>${money(it.amount, it.currency)}</td><td>${it.status}${it.amount_refunded > 0 && ` · ${money(it.amount_refunded, it.currency)} back`}${it.disputed && " · disputed"}</td>
<td>${it.status === "succeeded" && !it.refunded && !it.disputed && html`${button("refund", "refund", { id: it.id })}${it.amount - it.amount_refunded > 1 && button("refund", "refund half", { id: it.id, amount: String(Math.floor((it.amount - it.amount_refunded) / 2)) })}${button("refund", "failing refund", { id: it.id, outcome: "failing" })}${button("dispute", "dispute", { id: it.id })}`}</td></tr>`,
  );
  const disputes = newest(tables.disputes).map(
    (it) =>
      html`<tr><td><code>${it.id}</code></td><td>${money(it.amount, it.currency)}</td><td>${it.status}</td><td>${it.status.endsWith("needs_response") && html`${button("dispute/close", "won", { dispute: it.id, outcome: "won" })}${button("dispute/close", "lost", { dispute: it.id, outcome: "lost" })}`}</td></tr>`,
  );
  const events = newest(log.events, SHOWN_EVENTS).map(
    (it) =>
      html`<tr><td>${moment(it.created).slice(11, 16)}</td><td>${it.type}</td><td><code>${it.objectId.slice(0, 24)}</code></td><td>${eventState(it)}</td><td>${button("event/resend", "resend", { event: it.id })}</td></tr>`,
  );
  sendPage(res, 200, {
    title: "Stripe sandbox",
    layout: "wide",
    main: html`<h1>Stripe sandbox</h1><p class="soft">Newest first. The same by curl: <a href="/_sandbox">/_sandbox</a>.</p><div class="grid">
${clockCard(control, world)}${misbehaviourCard(control)}
<div class="full">${tableCard("Checkout", ["session", "mode", "total", "state", "actions"], sessions, "No checkout yet. Promotion codes: FREE100, HALF50.")}</div>
${tableCard("Subscriptions", ["id", "plan", "state", "period ends", "actions"], subscriptions)}
${tableCard("Invoices", ["id", "why", "due", "state", "actions"], invoices)}
${tableCard("Charges", ["id", "amount", "state", "actions"], charges)}
${tableCard("Customers", ["id", "e-mail", "card", "actions"], customers)}
${disputes.length > 0 && html`<div class="full">${tableCard("Disputes", ["id", "amount", "state", "actions"], disputes)}</div>`}
<div class="full">${tableCard("Events", ["at", "type", "object", "delivery", "actions"], events)}</div></div>`,
  });
}
