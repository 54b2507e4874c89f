// Owns one metered AI call: hold before, charge after, and what happens when it does not end well (DESIGN.md 4).
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Feature } from "../../shared/src/features.ts";
import { isAppError } from "../lib/errors.ts";
import { scopedKey } from "../ledger/idempotency-key.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { Logger } from "../lib/logger.ts";
import type { PackageSuggestions } from "./credit.service.ts";
import { type Prices, priceVersion } from "./prices.ts";
import { suggesting } from "./suggestion.ts";

/** Calls of one user that may run at once, over all instances. */
const MAX_IN_FLIGHT = 10;
const HOLD_SECONDS = 900;
/** The call is stopped a while before its hold ends, so that it can still be charged. */
const DEADLINE_MS = (HOLD_SECONDS - 30) * 1000;
const SETTLE_PAUSES_MS = [100, 500, 2_000];

/** How a call ended. */
export type CallEnd = "completed" | "failed" | "aborted";

/** What a handler sees of its own metering, as `ctx.meter`. */
export interface MeterReading {
  /** What a whole call costs, and the most it can cost. */
  readonly priceCredits: number;
  /** Aborts when the client goes away or the call has run too long. Hand it to the AI provider. */
  readonly signal: AbortSignal;
  /** Tells what all output so far is worth, in credits or parts of them. Charged, rounded up, if the call breaks off. */
  produced(credits: number): void;
  /** Names the model for the usage log. */
  usedModel(model: string): void;
}

/** A call under way. */
export interface MeteredCall extends MeterReading {
  /** Output has reached the client: from now on the call is not free any more. */
  outputBegan(): void;
  /** Charges or releases, once; later calls do nothing. Never throws. */
  end(how: CallEnd, error?: unknown): Promise<void>;
}

/** Starts metered calls. */
export interface Meter {
  /** Holds the feature's price. Throws INSUFFICIENT_CREDITS, RATE_LIMITED (10 in flight), SERVICE_UNAVAILABLE. */
  begin(userId: string, feature: Feature, clientSignal?: AbortSignal): Promise<MeteredCall>;
}

/** Makes a meter. */
export function createMeter(deps: {
  readonly ledger: Ledger;
  readonly packages: PackageSuggestions;
  readonly costs: Prices;
  readonly logger: Logger;
}): Meter {
  const { ledger, costs, logger } = deps;
  const version = priceVersion(costs);

  /** Past a database that is briefly away. A hold that is gone means an earlier try went through, or its time was over. */
  async function endHold(end: () => Promise<unknown>): Promise<void> {
    for (const pauseMs of [...SETTLE_PAUSES_MS, null]) {
      try {
        await end();
        return;
      } catch (error) {
        const final = pauseMs === null || !isAppError(error, "SERVICE_UNAVAILABLE");
        if (final && !isAppError(error, "HOLD_NOT_ACTIVE"))
          logger.error({ err: error }, "a metered call was not charged; its hold will expire");
        if (final) return;
        await sleep(pauseMs);
      }
    }
  }

  return {
    async begin(userId, feature, clientSignal) {
      const priceCredits = costs[feature];
      const { holdId } = await suggesting(deps.packages, () =>
        ledger.submit({
          kind: "reserve",
          userId,
          feature,
          amountCredits: priceCredits,
          priceVersion: version,
          idempotencyKey: scopedKey("metered", randomUUID()),
          ttlSeconds: HOLD_SECONDS,
          scopeLimit: MAX_IN_FLIGHT,
        }),
      );
      const startedAt = performance.now();
      const deadline = new AbortController();
      const timer = setTimeout(() => deadline.abort(), DEADLINE_MS);
      timer.unref();
      const signals = clientSignal === undefined ? [] : [clientSignal];
      let producedCredits = 0;
      let began = false;
      let model: string | null = null;
      let ending: Promise<void> | null = null;

      async function finish(how: CallEnd, error: unknown): Promise<void> {
        clearTimeout(timer);
        const usage = {
          model,
          durationMs: performance.now() - startedAt,
          success: how === "completed",
          error: how === "completed" ? null : reason(how, error),
        };
        const amountCredits = charge(how, { priceCredits, producedCredits, began });
        await endHold(() =>
          amountCredits === 0
            ? ledger.submit({ kind: "release", userId, holdId, usage })
            : ledger.submit({ kind: "settle", userId, holdId, amountCredits, usage }),
        );
      }

      return {
        priceCredits,
        signal: AbortSignal.any([...signals, deadline.signal]),
        produced(credits) {
          if (Number.isFinite(credits)) producedCredits = Math.max(producedCredits, credits);
        },
        usedModel(name) {
          model = name;
        },
        outputBegan() {
          began = true;
        },
        end: (how, error) => (ending ??= finish(how, error)),
      };
    },
  };
}

/**
 * Credits for a call that ended so. Whole: the price. Broken off before any output: nothing. After output began: what
 * was produced, rounded up, at least 1 and at most the price.
 */
export function charge(
  how: CallEnd,
  call: {
    readonly priceCredits: number;
    readonly producedCredits: number;
    readonly began: boolean;
  },
): number {
  if (how === "completed") return call.priceCredits;
  if (!call.began && call.producedCredits <= 0) return 0;
  return Math.min(call.priceCredits, Math.max(1, Math.ceil(call.producedCredits)));
}

/** A word for the usage log: an error's code or name, never its text, which may quote what the user wrote. */
function reason(how: CallEnd, error: unknown): string {
  if (how === "aborted") return "aborted";
  if (isAppError(error)) return error.code;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (isAppError(cause)) return cause.code;
  return cause instanceof Error ? cause.name : "failed";
}
