// Owns the billing portal: its API and its hosted page (cancel, resume, card, plan, invoices).
import type { ServerResponse } from "node:http";
import { type Html, html, moment, money, originOf, redirect, sendPage } from "../html.ts";
import type { Route } from "./api.ts";
import { collect, currentPeriod } from "./subscribing.ts";
import { setCancellation } from "./subscriptions.ts";
import type { Customer, PortalSession, Price } from "./types.ts";
import type { Subscription } from "./types-billing.ts";
import { applyChange, dropPending, planChange } from "./updating.ts";
import { isApiError } from "./wire.ts";
import { change, need, type World } from "./world.ts";

const SHOWN_PLANS = 20;

/** Routes of this file. */
export const portalRoutes: Route[] = [
  {
    method: "POST",
    path: "/v1/billing_portal/sessions",
    handle: ({ world, fields }) => {
      const customer = fields.needText("customer");
      const returnUrl = fields.text("return_url") ?? null;
      const locale = fields.text("locale") ?? null;
      fields.ignore("configuration", "flow_data", "on_behalf_of");
      fields.done();
      need(world.tables.customers, "customer", customer, "customer");
      const secret = world.newId("test", 40);
      const session: PortalSession = {
        id: world.newId("bps"),
        object: "billing_portal.session",
        configuration: "bpc_sandbox_default",
        created: world.wallNow(),
        customer,
        customer_account: null,
        flow: null,
        livemode: false,
        locale,
        on_behalf_of: null,
        return_url: returnUrl,
        url: `${world.publicUrl}/p/session/${secret}`,
      };
      world.tables.portalSessions.set(secret, session);
      return session;
    },
  },
];

function planName(world: World, price: Price): string {
  const name = world.tables.products.get(price.product)?.name ?? "Plan";
  return `${name}, ${money(price.unit_amount, price.currency)} / ${price.recurring?.interval ?? "once"}`;
}

function action(
  base: string,
  name: string,
  label: string,
  fields: { [name: string]: string } = {},
): Html {
  return html`<form method="post" action="${base}/${name}">${Object.entries(fields).map(
    ([field, value]) => html`<input type="hidden" name="${field}" value="${value}">`,
  )}<button>${label}</button></form>`;
}

function subscriptionCard(world: World, base: string, subscription: Subscription): Html {
  const [item] = subscription.items.data;
  if (item === undefined) return html``;
  const until = moment(currentPeriod(subscription).end);
  const plans = [...world.tables.prices.values()]
    .filter(
      (price) =>
        price.active &&
        price.recurring !== null &&
        price.id !== item.price.id &&
        price.currency === subscription.currency,
    )
    .slice(-SHOWN_PLANS);
  const id = { subscription: subscription.id };
  const ending = subscription.cancel_at !== null;
  return html`<section class="card"><h1>${planName(world, item.price)}</h1>
<p class="soft">${subscription.status === "active" ? "Active" : subscription.status.replaceAll("_", " ")} · ${ending ? `ends ${until}` : `renews ${until}`}</p>
${ending ? action(base, "resume", "Keep my plan", id) : action(base, "cancel", "Cancel at the end of the period", id)}
${
  plans.length > 0 &&
  html`<h2>Switch plan</h2><form method="post" action="${base}/switch" class="inline"><input type="hidden" name="subscription" value="${subscription.id}">
<select name="price" aria-label="Plan">${plans.map((price) => html`<option value="${price.id}">${planName(world, price)}</option>`)}</select><button>Switch</button></form>`
}</section>`;
}

function showPortal(
  res: ServerResponse,
  world: World,
  base: string,
  session: PortalSession,
  customer: Customer,
  problem: string | null,
): void {
  const subscriptions = [...world.tables.subscriptions.values()].filter(
    (it) => it.customer === customer.id && it.status !== "canceled",
  );
  const invoices = [...world.tables.invoices.values()]
    .filter((it) => it.customer === customer.id)
    .reverse()
    .slice(0, 24);
  const failing = world.hidden.failingCards.has(customer.id);
  sendPage(res, problem === null ? 200 : 402, {
    title: "Billing",
    formTargets: originOf(session.return_url),
    main: html`${session.return_url !== null && html`<p><a href="${session.return_url}">← Back to the app</a></p>`}
${problem !== null && html`<p class="note bad" role="alert">${problem}</p>`}
${subscriptions.map((it) => subscriptionCard(world, base, it))}
${subscriptions.length === 0 && html`<section class="card"><h1>No plan</h1><p class="soft">${customer.email ?? customer.id} has no running subscription.</p></section>`}
<section class="card"><h2>Payment method</h2><p>${failing ? "Visa •••• 0341, which is refused" : "Visa •••• 4242"}</p>
${failing ? action(base, "card", "Use a working card", { card: "ok" }) : action(base, "card", "Use a card that is refused", { card: "failing" })}</section>
<section class="card"><h2>Invoices</h2>${invoices.length === 0 && html`<p class="soft">None yet.</p>`}
${invoices.map(
  (
    it,
  ) => html`<div class="row"><span>${moment(it.created).slice(0, 10)}<br><span class="soft">${it.number ?? "draft"} · ${it.status}</span></span>
<span>${money(it.total, it.currency)}${it.status === "open" && action(base, "pay", "Pay now", { invoice: it.id })}</span></div>`,
)}</section>`,
  });
}

function act(world: World, customer: Customer, name: string, form: URLSearchParams): string | null {
  const own = (id: string | null): Subscription | undefined => {
    const found = world.tables.subscriptions.get(id ?? "");
    return found?.customer === customer.id && found.status !== "canceled" ? found : undefined;
  };
  const subscription = own(form.get("subscription"));
  switch (name) {
    case "cancel":
    case "resume":
      if (subscription !== undefined) {
        change(world, subscription, "customer.subscription.updated", (it) =>
          setCancellation(it, name === "cancel", undefined, world.billingNow()),
        );
      }
      return null;
    case "card":
      if (form.get("card") === "failing") world.hidden.failingCards.add(customer.id);
      else world.hidden.failingCards.delete(customer.id);
      return null;
    case "pay": {
      const invoice = world.tables.invoices.get(form.get("invoice") ?? "");
      if (invoice?.customer !== customer.id || invoice.status !== "open") return null;
      return collect(world, invoice) ? null : "Your card was declined.";
    }
    case "switch": {
      const item = subscription?.items.data[0];
      if (subscription === undefined || item === undefined) return null;
      const wishes = [
        {
          id: item.id,
          price: form.get("price") ?? "",
          quantity: undefined,
          deleted: false,
          metadata: undefined,
        },
      ];
      try {
        const plan = planChange(world, subscription, {
          wishes,
          behavior: "always_invoice",
          prorationDate: undefined,
          resetAnchor: false,
        });
        dropPending(world, subscription);
        change(world, subscription, "customer.subscription.updated", (it) =>
          applyChange(world, it, plan, "error_if_incomplete"),
        );
        return null;
      } catch (error) {
        if (isApiError(error)) return error.message;
        throw error;
      }
    }
    default:
      return null;
  }
}

/** Answers `/p/session/:secret` and its forms. */
export function handlePortalPage(
  world: World,
  res: ServerResponse,
  method: string,
  path: string,
  body: string,
): void {
  const [, secret = "", name = ""] = /^\/p\/session\/([^/]+)(?:\/([a-z]+))?$/.exec(path) ?? [];
  const session = world.tables.portalSessions.get(secret);
  const customer = world.tables.customers.get(session?.customer ?? "");
  if (session === undefined || customer === undefined) {
    sendPage(res, 404, {
      title: "Billing",
      main: html`<section class="card center"><h1>This billing page has expired</h1><p class="soft">Open it again from the app.</p></section>`,
    });
    return;
  }
  const base = `/p/session/${secret}`;
  const problem = method === "POST" ? act(world, customer, name, new URLSearchParams(body)) : null;
  if (method === "POST" && problem === null) redirect(res, base);
  else showPortal(res, world, base, session, customer, problem);
}

/** Answers `/invoices/:id` and `/receipts/:id`: what the hosted links lead to. */
export function handlePaperPage(world: World, res: ServerResponse, path: string): void {
  const id = path.split("/")[2] ?? "";
  const invoice = world.tables.invoices.get(id);
  const charge = world.tables.charges.get(id);
  if (invoice !== undefined) {
    sendPage(res, 200, {
      title: `Invoice ${invoice.number ?? ""}`,
      main: html`<section class="card"><h1>Invoice ${invoice.number ?? "(draft)"}</h1><p class="soft">${moment(invoice.created)} · ${invoice.status}</p>
${invoice.lines.data.map((line) => html`<div class="row"><span>${line.description}</span><span>${money(line.amount, line.currency)}</span></div>`)}
<div class="row sum"><span>Total</span><span>${money(invoice.total, invoice.currency)}</span></div>
<div class="row"><span>Amount due</span><span>${money(invoice.amount_due, invoice.currency)}</span></div></section>`,
    });
  } else if (charge !== undefined) {
    sendPage(res, 200, {
      title: "Receipt",
      main: html`<section class="card center"><h1>Receipt</h1><p class="total">${money(charge.amount, charge.currency)}</p><p class="soft">${moment(charge.created)} · ${charge.status}</p></section>`,
    });
  } else {
    sendPage(res, 404, {
      title: "Not found",
      main: html`<section class="card center"><h1>No such paper</h1></section>`,
    });
  }
}
