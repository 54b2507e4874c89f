// Owns POST /api/payment/webhook: the raw body in, 200 only once the effect is stored.
import { type RequestHandler, raw, Router } from "express";
import type { Logger } from "../../lib/logger.ts";
import type { EventReceipt } from "../../payment/payment.service.ts";

/** What the webhook stands on. */
export interface StripeWebhookDeps {
  readonly payment: {
    receiveEvent(rawBody: Buffer, signatureHeader: string | null): Promise<EventReceipt>;
  };
  readonly logger: Logger;
}

/** Stripe's events are a few kilobytes; 1 MB leaves room and bounds an attacker. */
const MAX_BODY_BYTES = 1_048_576;

/**
 * The handler for `POST /api/payment/webhook`; mount it before any body parser (`app.post(path, handler)`).
 * 200 `{"received":true}` once stored · 400 bad signature or body · 413 over 1 MB · 415 compressed · 500 retry.
 */
export function createStripeWebhook(deps: StripeWebhookDeps): RequestHandler {
  const router = Router();
  // Never inflated: Stripe does not compress, and a bomb is refused by its header alone.
  router.use(raw({ type: () => true, limit: MAX_BODY_BYTES, inflate: false }));
  router.use(async (req, res) => {
    const header = req.headers["stripe-signature"];
    const body: unknown = req.body;
    const receipt = await deps.payment.receiveEvent(
      Buffer.isBuffer(body) ? body : Buffer.alloc(0),
      typeof header === "string" ? header : null,
    );
    res.setHeader("Cache-Control", "no-store");
    switch (receipt.outcome) {
      case "refused":
        deps.logger.warn({ reason: receipt.reason }, "webhook refused");
        res.status(400).json({ received: false, error: receipt.reason });
        return;
      case "retry":
        res.status(500).json({ received: false, error: "Not stored yet. Please send it again." });
        return;
      default:
        res.status(200).json({ received: true });
    }
  });
  // Body-parser's refusals (413, 415, aborted, bad length) end here, without a stack.
  router.use(
    (
      error: unknown,
      _req: unknown,
      res: Parameters<RequestHandler>[1],
      next: (e?: unknown) => void,
    ) => {
      const status =
        typeof error === "object" && error !== null && "status" in error ? error.status : 500;
      if (res.headersSent) return next(error);
      const known = typeof status === "number" && status >= 400 && status < 500 ? status : 500;
      if (known === 500) deps.logger.error({ err: error }, "webhook failed");
      res.status(known).json({
        received: false,
        error: known === 500 ? "Not stored yet. Please send it again." : "The request was refused.",
      });
    },
  );
  return router;
}
