// POST /api/payment/webhook: a plausible signature first, then the raw body; 200 only once the effect is stored.
import type { IncomingMessage, ServerResponse } from "node:http";
import { isAppError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/logger.ts";
import type { PaymentService } from "../../payment/payment.service.ts";
import type { BodyReader } from "../body-reader.ts";
import { sendJson } from "../response.ts";
import { closeAfterUnreadBody } from "../unread-body.ts";

/** Dependencies of the webhook. */
export interface StripeWebhookDeps {
  readonly payment: Pick<PaymentService, "signatureRefusal" | "receiveEvent">;
  readonly bodies: Pick<BodyReader, "bytes">;
  readonly logger: Logger;
}

/** Stripe's events are a few kilobytes; 1 MB leaves room and bounds an attacker. */
const MAX_BODY_BYTES = 1_048_576;

/**
 * Creates the handler for `POST /api/payment/webhook`; mount it before any body parser (`app.post(path, handler)`). 200
 * `{"received":true}` once stored · 400 bad signature or body · 413 over 1 MB · 415 compressed · 500, 503 send again.
 */
export function createStripeWebhook(
  deps: StripeWebhookDeps,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { payment, bodies, logger } = deps;

  function refuse(
    request: IncomingMessage,
    response: ServerResponse,
    { status, reason }: { status: number; reason: string },
  ): void {
    logger.warn({ reason }, "webhook refused");
    closeAfterUnreadBody(request, response);
    if (status === 503) response.setHeader("Retry-After", "2");
    sendJson(response, status, { received: false, error: reason });
  }

  return async (request, response) => {
    response.setHeader("Cache-Control", "no-store");
    const given = request.headers["stripe-signature"];
    const header = typeof given === "string" ? given : null;
    // Anyone may post here. A request without a fresh signature is refused before any of its body is read.
    const refusal = payment.signatureRefusal(header);
    if (refusal !== null) return refuse(request, response, { status: 400, reason: refusal });
    // Never decompressed: Stripe does not compress, and a bomb is refused by its header alone.
    if ((request.headers["content-encoding"] ?? "identity") !== "identity")
      return refuse(request, response, { status: 415, reason: "Send it uncompressed." });
    let body: Buffer;
    try {
      body = await bodies.bytes(request, MAX_BODY_BYTES);
    } catch (error) {
      const status = isAppError(error) ? error.httpStatus : 400;
      const reason = isAppError(error) ? error.message : "The body broke off.";
      return refuse(request, response, { status, reason });
    }
    const receipt = await payment.receiveEvent(body, header);
    if (receipt.outcome === "refused")
      return refuse(request, response, { status: 400, reason: receipt.reason });
    if (receipt.outcome === "retry")
      return sendJson(response, 500, {
        received: false,
        error: "Not stored yet. Please send it again.",
      });
    sendJson(response, 200, { received: true });
  };
}
