// The hosted checkout page, where a person pays, fails to pay, pays later, enters a code, or goes back.
import { html, type Html, money, originOf, redirect, sendPage } from "../../html.ts";
import type { PageRequest } from "../../http.ts";
import type { ServerResponse } from "node:http";
import { applyDiscount, expireIfDue, findCode, paySession } from "./paying.ts";
import type { CheckoutLine, CheckoutSession } from "../objects/types.ts";
import type { World } from "../state/world.ts";

/** `success_url` with the session's id filled in. */
export function successUrl(session: CheckoutSession): string {
  return session.success_url.replaceAll("{CHECKOUT_SESSION_ID}", session.id);
}

function every(line: CheckoutLine): string {
  const recurring = line.price.recurring;
  if (recurring === null) return "";
  return recurring.interval_count === 1
    ? ` / ${recurring.interval}`
    : ` / ${recurring.interval_count} ${recurring.interval}s`;
}

function summary(world: World, session: CheckoutSession): Html {
  const lines = world.hidden.sessionDetails.get(session.id)?.lines ?? [];
  const off = session.total_details.amount_discount;
  const [first] = lines;
  return html`<section class="card">
<h1>${session.mode === "subscription" ? "Subscribe to" : "Pay for"} ${lines.map((line) => line.description).join(", ")}</h1>
<p class="total">${money(session.amount_total, session.currency)}<small>${first ? every(first) : ""}</small></p>
${lines.map(
  (
    line,
  ) => html`<div class="row"><span>${line.description}${line.quantity > 1 ? ` × ${line.quantity}` : ""}</span><span>${money(line.amount_subtotal, session.currency)}</span></div>
${productText(world, line)}`,
)}
${off > 0 && html`<div class="row ok"><span>Discount</span><span>−${money(off, session.currency)}</span></div>`}
<div class="row sum"><span>Due today</span><span>${money(session.amount_total, session.currency)}</span></div>
${
  session.allow_promotion_codes === true &&
  off === 0 &&
  html`<form method="post" action="/c/pay/${session.id}/code" class="inline"><input type="text" name="code" aria-label="Promotion code" placeholder="Promotion code" maxlength="50" autocomplete="off"><button>Apply</button></form>
<p class="soft">In this sandbox: <code>FREE100</code> takes off everything, <code>HALF50</code> half.</p>`
}
</section>`;
}

function productText(world: World, line: CheckoutLine): Html {
  const text = world.tables.products.get(line.price.product)?.description;
  return text ? html`<p class="soft">${text}</p>` : html``;
}

function choice(value: string, title: string, text: string, checked: boolean): Html {
  return html`<label class="choice"><input type="radio" name="method" value="${value}" ${checked && html`checked`}><span><b>${title}</b><span class="soft">${text}</span></span></label>`;
}

function payCard(world: World, session: CheckoutSession, problem: string | null): Html {
  const email = session.customer_email ?? world.tables.customers.get(session.customer ?? "")?.email;
  const free = session.amount_total === 0 && session.mode === "payment";
  const label =
    session.mode === "subscription"
      ? "Subscribe"
      : free
        ? "Complete the order"
        : `Pay ${money(session.amount_total, session.currency)}`;
  return html`<section class="card">
${problem !== null && html`<p class="note bad" role="alert">${problem}</p>`}
<form method="post" action="/c/pay/${session.id}/pay">
${email ? html`<p class="soft">Paying as <b>${email}</b></p>` : html`<label class="field"><span>E-mail</span><input type="email" name="email" value="person@example.com" required></label>`}
${
  !free &&
  html`<h2>Test payment method</h2>
${choice("ok", "Visa •••• 4242", "The payment succeeds.", problem === null)}
${choice("declined", "Visa •••• 0002", "The card is declined; you can try again.", problem !== null)}
${session.mode === "payment" && choice("delayed", "Bank debit", "Leaves unpaid, settles later from the sandbox's own page.", false)}`
}
<button class="main">${label}</button></form>
${session.cancel_url !== null && html`<p class="center"><a href="${session.cancel_url}" rel="noreferrer">Cancel and go back</a></p>`}
</section>`;
}

function show(
  res: ServerResponse,
  world: World,
  session: CheckoutSession,
  { problem = null, status = 200 }: { problem?: string | null; status?: number } = {},
): void {
  const formTargets = [...originOf(session.success_url), ...originOf(session.cancel_url)];
  if (session.status === "open") {
    sendPage(res, status, {
      title: "Checkout",
      layout: "two",
      formTargets,
      main: html`${summary(world, session)}${payCard(world, session, problem)}`,
    });
    return;
  }
  const done = session.status === "complete";
  sendPage(res, 200, {
    title: "Checkout",
    formTargets,
    main: html`<section class="card center"><h1>${done ? "All done here" : "This checkout page has expired"}</h1>
<p class="soft">${done ? "This order is complete. Nothing more will be charged." : "Nothing was charged. Start again from the shop."}</p>
<p><a class="button" href="${done ? successUrl(session) : (session.cancel_url ?? "/")}">Back to the shop</a></p></section>`,
  });
}

/**
 * Handles `/c/pay/:id` and its forms (`pay`, `code`). Works without JavaScript. Submitting a form again
 * after the session is complete just redirects to the success page.
 */
export function handleCheckoutPage(
  world: World,
  res: ServerResponse,
  { method, path, body }: PageRequest,
): void {
  const [, id = "", action = ""] = /^\/c\/pay\/([^/]+)(?:\/(pay|code))?$/.exec(path) ?? [];
  const session = world.tables.sessions.get(id);
  if (session === undefined) {
    sendPage(res, 404, {
      title: "Not found",
      main: html`<section class="card center"><h1>No such checkout page</h1><p class="soft">The link may be old, or the sandbox was started afresh.</p></section>`,
    });
    return;
  }
  expireIfDue(world, session);
  if (method !== "POST" || session.status === "expired") {
    show(res, world, session);
    return;
  }
  if (session.status === "complete") {
    redirect(res, successUrl(session));
    return;
  }
  const form = new URLSearchParams(body);
  if (action === "code") {
    const found =
      session.allow_promotion_codes === true ? findCode(world, form.get("code") ?? "") : undefined;
    if (found === undefined) {
      show(res, world, session, { problem: "This promotion code is not valid.", status: 422 });
      return;
    }
    if (session.total_details.amount_discount === 0)
      applyDiscount(world, session, found.coupon, found.codeId);
    redirect(res, `/c/pay/${session.id}`);
    return;
  }
  const outcomes = { ok: "paid", declined: "declined", delayed: "delayed" } as const;
  const picked = form.get("method") ?? "ok";
  const outcome =
    picked === "declined" || (picked === "delayed" && session.mode === "payment")
      ? outcomes[picked]
      : outcomes.ok;
  paySession(world, session, outcome, form.get("email") ?? undefined);
  // Still `open`, so the attempt was declined.
  if ((session.status as CheckoutSession["status"]) === "open") {
    show(res, world, session, { problem: "Your card was declined. Try another one.", status: 402 });
    return;
  }
  redirect(res, successUrl(session));
}
