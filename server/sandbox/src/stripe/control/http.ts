// The control API under `/_sandbox/*`: the in-process controls for curl, for the control page's forms, and for tests
// in other processes.
import type { ServerResponse } from "node:http";
import { z } from "zod";
import { redirect } from "../../html.ts";
import type { StripeControl } from "./control.ts";
import { type Command, command, flag, MERCHANT_COMMANDS, text, whole } from "./merchant-http.ts";
import { API_FAULTS } from "../api/misbehaviour.ts";
import { isApiError } from "../api/wire.ts";

const count = whole.min(0).max(1_000_000);
/** Makes a field optional; a form submits an empty string where nothing was typed. */
const optional = <T extends z.ZodType>(type: T) =>
  z.preprocess((it) => (it === "" ? undefined : it), type.optional());

/** Every command with an example of its input. */
export const COMMANDS: { [path: string]: Command } = {
  ...MERCHANT_COMMANDS,
  clock: command(
    '{"months":1,"hours":2} or {"to":"2027-03-01T00:00:00Z"}: moves the billing clock; renewals and retries happen on the way',
    z.object({
      months: optional(count),
      days: optional(count),
      hours: optional(count),
      seconds: optional(count),
      to: optional(z.coerce.date()),
    }),
    (control, { to, ...by }) => ({
      steps: to === undefined ? control.advance(by) : control.advanceTo(to),
      now: control.now().toISOString(),
    }),
  ),
  "clock-offset": command(
    '{"seconds":600}: the wall clock of the sandbox is off',
    z.object({ seconds: whole }),
    (control, { seconds }) => control.setClockOffset(seconds),
  ),
  card: command(
    '{"customer":"cus_…","card":"failing"}',
    z.object({ customer: text, card: z.enum(["ok", "failing"]) }),
    (control, it) => control.setCard(it.customer, it.card),
  ),
  dunning: command(
    '{"retryAfterDays":[3,5,7],"end":"cancel"}',
    z.object({
      retryAfterDays: z.array(count).max(20).optional(),
      end: z.enum(["cancel", "unpaid"]).optional(),
    }),
    (control, it) => control.setDunning(it),
  ),
  "invoice/pay": command('{"invoice":"in_…"}', z.object({ invoice: text }), (control, it) => ({
    paid: control.payInvoice(it.invoice),
  })),
  "subscription/cancel": command(
    '{"subscription":"sub_…"}',
    z.object({ subscription: text }),
    (control, it) => control.cancelSubscription(it.subscription),
  ),
  "checkout/complete": command(
    '{"session":"cs_…","outcome":"paid|declined|delayed"}',
    z.object({ session: text, outcome: optional(z.enum(["paid", "declined", "delayed"])) }),
    (control, it) => control.completeCheckout(it.session, it.outcome),
  ),
  "checkout/settle": command(
    '{"session":"cs_…","paid":true}: ends a delayed payment',
    z.object({ session: text, paid: flag }),
    (control, it) => ({ settled: control.settleDelayedPayment(it.session, it.paid) }),
  ),
  "checkout/expire": command('{"session":"cs_…"}', z.object({ session: text }), (control, it) =>
    control.expireCheckout(it.session),
  ),
  refund: command(
    '{"id":"pi_… or ch_…","amount":100,"outcome":"succeeded|pending|failing"}',
    z.object({
      id: text,
      amount: optional(whole.min(1)),
      reason: optional(text),
      outcome: optional(z.enum(["succeeded", "pending", "failing"])),
    }),
    (control, { id, ...options }) => control.refund(id, options),
  ),
  "refund/next": command(
    '{"outcome":"failing"}: how the next refund made by the API goes',
    z.object({ outcome: z.enum(["succeeded", "pending", "failing"]) }),
    (control, it) => control.nextRefunds(it.outcome),
  ),
  "refund/settle": command(
    '{"refund":"re_…","succeeded":false}',
    z.object({ refund: text, succeeded: flag }),
    (control, it) => control.settleRefund(it.refund, it.succeeded),
  ),
  dispute: command(
    '{"id":"pi_… or ch_…","inquiry":false}',
    z.object({
      id: text,
      amount: optional(whole.min(1)),
      reason: optional(text),
      inquiry: optional(flag),
    }),
    (control, { id, ...options }) => control.openDispute(id, options),
  ),
  "dispute/close": command(
    '{"dispute":"du_…","outcome":"won|lost"}',
    z.object({ dispute: text, outcome: z.enum(["won", "lost"]) }),
    (control, it) => control.closeDispute(it.dispute, it.outcome),
  ),
  "portal/settings": command(
    '{"saved":false}: as if the portal settings had never been saved',
    z.object({ saved: flag }),
    (control, it) => control.savePortalSettings(it.saved),
  ),
  "event/resend": command('{"event":"evt_…"}', z.object({ event: text }), (control, it) =>
    control.resendEvent(it.event),
  ),
  "events/resend-undelivered": command("{}", z.object({}), async (control) => ({
    sent: await control.resendUndelivered(),
  })),
  delivery: command(
    '{"duplicate":2,"delayMs":500,"reorder":5,"dropNext":1,"dropShare":0.2,"secondId":true,"paused":true,"signatureSkewSeconds":0,"types":[]}',
    z.object({
      duplicate: optional(count.max(100)),
      delayMs: optional(count.max(600_000)),
      reorder: optional(count.max(1000)),
      dropNext: optional(count),
      dropShare: optional(z.coerce.number().min(0).max(1)),
      secondId: optional(flag),
      paused: optional(flag),
      signatureSkewSeconds: optional(whole),
      types: optional(z.array(text)),
    }),
    (control, it) =>
      control.misdeliver(
        Object.fromEntries(Object.entries(it).filter(([, value]) => value !== undefined)),
      ),
  ),
  api: command(
    `{"fault":"cut-after","times":1,"method":"POST","path":"/v1/refunds","delayMs":1000,"retryAfterSeconds":1,"saved":true}; saved: a 500 is kept under its idempotency key for a day; faults: ${API_FAULTS.join(" ")}`,
    z.object({
      fault: z.enum(API_FAULTS),
      times: optional(whole.min(1)),
      method: optional(text),
      path: optional(text),
      delayMs: optional(count),
      retryAfterSeconds: optional(count),
      saved: optional(flag),
    }),
    (control, it) => control.misbehave(it),
  ),
  webhook: command(
    '{"url":"http://127.0.0.1:5000/api/payment/webhook"} or {"url":null}',
    z.object({ url: z.url().nullable() }),
    (control, it) => control.setWebhookUrl(it.url),
  ),
  "well-behaved": command("{}: ends every misbehaviour", z.object({}), (control) =>
    control.wellBehaved(),
  ),
};

function sendJson(res: ServerResponse, status: number, value: unknown): void {
  res.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  res.end(`${JSON.stringify(value ?? { ok: true }, null, 2)}\n`);
}

/**
 * Handles `/_sandbox/<command>` (POST, JSON or form) and `/_sandbox` (GET: the state and the commands).
 * A form redirects to the control page; a 400 names what is wrong.
 */
export async function handleControl(
  control: StripeControl,
  res: ServerResponse,
  given: { method: string; path: string; body: string; contentType: string },
): Promise<void> {
  const name = given.path.replace(/^\/_sandbox\/?/, "");
  // `curl -d '{…}'` sends JSON with the content type of a form.
  const isForm =
    given.contentType.includes("x-www-form-urlencoded") &&
    !given.body.trimStart().startsWith("{") &&
    given.body !== "";
  if (given.method !== "POST") {
    const commands: { [path: string]: string } = {};
    for (const [path, it] of Object.entries(COMMANDS)) commands[`POST /_sandbox/${path}`] = it.help;
    sendJson(res, 200, {
      now: control.now().toISOString(),
      ...control.misbehaviours(),
      commands,
    });
    return;
  }
  const found = COMMANDS[name];
  if (found === undefined || !Object.hasOwn(COMMANDS, name)) {
    sendJson(res, 404, { error: `No such command. GET /_sandbox lists them.` });
    return;
  }
  try {
    const input: unknown = isForm
      ? Object.fromEntries(new URLSearchParams(given.body))
      : JSON.parse(given.body || "{}");
    const answer = await found.run(control, input);
    if (isForm) redirect(res, "/");
    else sendJson(res, 200, answer);
  } catch (error) {
    if (error instanceof z.ZodError)
      sendJson(res, 400, { error: z.prettifyError(error), expected: found.help });
    else if (isApiError(error)) sendJson(res, error.status, { error: error.message });
    else if (error instanceof SyntaxError)
      sendJson(res, 400, { error: "The body is not JSON.", expected: found.help });
    else throw error;
  }
}
