// The billing portal: its sessions API and its hosted page (cancel, resume, card, plan, invoices).
import type { ServerResponse } from "node:http";
import { type Html, html, moment, money, originOf, redirect, sendPage } from "../../html.ts";
import type { PageRequest } from "../../http.ts";
import type { Route } from "../api/route.ts";
import { actInPortal, offeredPrices, offersQuantity, type PortalProblem } from "./actions.ts";
import { defaultConfiguration } from "./configurations.ts";
import { newPortalSession } from "../objects/new-portal.ts";
import { currentPeriod } from "../billing/subscribing.ts";
import type { Customer, PortalFeatures, PortalSession, Price } from "../objects/types.ts";
import type { Subscription } from "../objects/types-billing.ts";
import { badParam } from "../api/wire.ts";
import { need, type World } from "../state/world.ts";

/** Routes of this file. */
export const portalRoutes: Route[] = [
  {
    method: "POST",
    path: "/v1/billing_portal/sessions",
    handle: ({ world, fields }) => {
      const customer = fields.needText("customer");
      const returnUrl = fields.text("return_url");
      const locale = fields.text("locale") ?? null;
      const wanted = fields.text("configuration");
      fields.ignore("flow_data", "on_behalf_of");
      fields.done();
      need(world.tables.customers, "customer", customer, "customer");
      const configuration =
        wanted === undefined
          ? defaultConfiguration(world)
          : need(world.tables.portalConfigurations, "configuration", wanted, "configuration");
      if (!configuration.active) {
        throw badParam(
          `The configuration ${configuration.id} is inactive. You can only use active configurations.`,
          "configuration",
          "parameter_invalid",
        );
      }
      const secret = world.newId("test", 40);
      const session = newPortalSession(world.newId("bps"), world.wallNow(), {
        customer,
        configuration: configuration.id,
        returnUrl: returnUrl ?? configuration.default_return_url,
        locale,
        url: `${world.publicUrl}/p/session/${secret}`,
      });
      world.tables.portalSessions.set(secret, session);
      world.emit("billing_portal.session.created", session);
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

function cancelButtons(base: string, features: PortalFeatures, subscription: Subscription): Html {
  const settings = features.subscription_cancel;
  const id = { subscription: subscription.id };
  if (!settings.enabled) return html``;
  if (subscription.cancel_at !== null) return action(base, "resume", "Keep my plan", id);
  return settings.mode === "immediately"
    ? action(base, "cancel", "Cancel now", id)
    : action(base, "cancel", "Cancel at the end of the period", id);
}

function subscriptionCard(
  world: World,
  base: string,
  features: PortalFeatures,
  subscription: Subscription,
): Html {
  const [item] = subscription.items.data;
  if (item === undefined) return html``;
  const plans = offeredPrices(world, features, subscription);
  const hidden = html`<input type="hidden" name="subscription" value="${subscription.id}">`;
  const times = item.quantity > 1 ? `${item.quantity} × ` : "";
  const ending = subscription.cancel_at !== null;
  const until = moment(subscription.cancel_at ?? currentPeriod(subscription).end);
  return html`<section class="card"><h1>${times}${planName(world, item.price)}</h1>
<p class="soft">${subscription.status === "active" ? "Active" : subscription.status.replaceAll("_", " ")} · ${ending ? `ends ${until}` : `renews ${until}`}</p>
${cancelButtons(base, features, subscription)}
${
  plans.length > 0 &&
  html`<h2>Switch plan</h2><form method="post" action="${base}/switch" class="inline">${hidden}
<select name="price" aria-label="Plan">${plans.map((price) => html`<option value="${price.id}">${planName(world, price)}</option>`)}</select><button>Switch</button></form>`
}${
  offersQuantity(features) &&
  html`<h2>Quantity</h2><form method="post" action="${base}/quantity" class="inline">${hidden}
<input name="quantity" type="number" min="1" value="${String(item.quantity)}" aria-label="Quantity"><button>Change</button></form>`
}</section>`;
}

function showPortal(
  res: ServerResponse,
  world: World,
  base: string,
  shown: {
    session: PortalSession;
    customer: Customer;
    features: PortalFeatures;
    problem: PortalProblem | null;
  },
): void {
  const { session, customer, features, problem } = shown;
  const subscriptions = [...world.tables.subscriptions.values()].filter(
    (it) => it.customer === customer.id && it.status !== "canceled",
  );
  const invoices = [...world.tables.invoices.values()]
    .filter((it) => features.invoice_history.enabled && it.customer === customer.id)
    .reverse()
    .slice(0, 24);
  const failing = world.hidden.failingCards.has(customer.id);
  sendPage(res, problem?.status ?? 200, {
    title: "Billing",
    formTargets: originOf(session.return_url),
    main: html`${session.return_url !== null && html`<p><a href="${session.return_url}">← Back to the app</a></p>`}
${problem !== null && html`<p class="note bad" role="alert">${problem.message}</p>`}
${subscriptions.map((it) => subscriptionCard(world, base, features, it))}
${subscriptions.length === 0 && html`<section class="card"><h1>No plan</h1><p class="soft">${customer.email ?? customer.id} has no running subscription.</p></section>`}
${
  features.payment_method_update.enabled &&
  html`<section class="card"><h2>Payment method</h2><p>${failing ? "Visa •••• 0341, which is refused" : "Visa •••• 4242"}</p>
${failing ? action(base, "card", "Use a working card", { card: "ok" }) : action(base, "card", "Use a card that is refused", { card: "failing" })}</section>`
}
<section class="card"><h2>Invoices</h2>${invoices.length === 0 && html`<p class="soft">None yet.</p>`}
${invoices.map(
  (
    it,
  ) => html`<div class="row"><span>${moment(it.created).slice(0, 10)}<br><span class="soft">${it.number ?? "draft"} · ${it.status}</span></span>
<span>${money(it.total, it.currency)}${it.status === "open" && action(base, "pay", "Pay now", { invoice: it.id })}</span></div>`,
)}</section>`,
  });
}

/** Handles `/p/session/:secret` and its forms. */
export function handlePortalPage(
  world: World,
  res: ServerResponse,
  { method, path, body }: PageRequest,
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
  const { features } =
    world.tables.portalConfigurations.get(session.configuration) ?? defaultConfiguration(world);
  const problem =
    method === "POST"
      ? actInPortal(world, customer, features, { name, form: new URLSearchParams(body) })
      : null;
  if (method === "POST" && problem === null) redirect(res, base);
  else showPortal(res, world, base, { session, customer, features, problem });
}

/** Handles `/invoices/:id` and `/receipts/:id`, the targets of the hosted invoice and receipt links. */
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
