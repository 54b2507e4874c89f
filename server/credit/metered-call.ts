// A metered call: hold the price before it, charge after it, and handle calls that do not end well.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Feature } from "../../shared/src/features.ts";
import { isAppError } from "../lib/errors.ts";
import { scopedKey } from "../ledger/idempotency-key.ts";
import type { Ledger, ReserveOperation } from "../ledger/ports.ts";
import { isRefused } from "../ledger/writer/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { CallEnd, MeteredCall } from "./credit.types.ts";
import type { Charging } from "./ports.ts";

/** Maximum concurrent calls per user, across all instances. */
const MAX_IN_FLIGHT = 10;
const HOLD_SECONDS = 900;
/** The call is aborted a while before its hold expires, so that it can still be charged. */
const DEADLINE_MS = (HOLD_SECONDS - 30) * 1000;
const SETTLE_PAUSES_MS = [100, 500, 2_000];
/** Before a reserve is undone: the ledger has just been unavailable. Shorter than the client's pause before its retry. */
const UNDO_PAUSE_MS = 500;

/** Dependencies of metered calls. */
export interface MeteredCallDeps extends Charging {
  readonly ledger: Ledger;
  readonly logger: Logger;
}

interface CallRequest {
  readonly userId: string;
  readonly feature: Feature;
  readonly clientSignal: AbortSignal | undefined;
}

/** A call in progress: its hold, and what the handler has reported so far. */
interface CallState {
  readonly userId: string;
  readonly holdId: string;
  readonly priceCredits: number;
  readonly startedAt: number;
  producedCredits: number;
  model: string | null;
}

/** Holds the feature's price. Throws INSUFFICIENT_CREDITS, RATE_LIMITED (10 in flight), SERVICE_UNAVAILABLE. */
export async function beginMeteredCall(
  deps: MeteredCallDeps,
  request: CallRequest,
): Promise<MeteredCall> {
  const state: CallState = {
    ...(await holdPrice(deps, request)),
    userId: request.userId,
    startedAt: performance.now(),
    producedCredits: 0,
    model: null,
  };
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), DEADLINE_MS);
  timer.unref();
  const signals = request.clientSignal === undefined ? [] : [request.clientSignal];
  let ending: Promise<void> | null = null;
  return {
    priceCredits: state.priceCredits,
    signal: AbortSignal.any([...signals, deadline.signal]),
    produced(credits) {
      if (Number.isFinite(credits))
        state.producedCredits = Math.max(state.producedCredits, credits);
    },
    usedModel(name) {
      state.model = name;
    },
    end(how, error) {
      clearTimeout(timer);
      // Frees the composite signal, which Node.js otherwise keeps alive while it has listeners.
      deadline.abort();
      ending ??= endCall(deps, state, how, error);
      return ending;
    },
  };
}

async function holdPrice(deps: MeteredCallDeps, { userId, feature }: CallRequest) {
  const priceCredits = deps.prices.credits[feature];
  const reserve: ReserveOperation = {
    kind: "reserve",
    userId,
    feature,
    amountCredits: priceCredits,
    priceVersion: deps.prices.version,
    idempotencyKey: scopedKey("metered", randomUUID()),
    ttlSeconds: HOLD_SECONDS,
    scopeLimit: MAX_IN_FLIGHT,
  };
  try {
    const { holdId } = await deps.withPackageSuggestion(() => deps.ledger.submit(reserve));
    return { holdId, priceCredits };
  } catch (error) {
    if (isAppError(error, "SERVICE_UNAVAILABLE") && !isRefused(error))
      void undoReserve(deps, reserve);
    throw error;
  }
}

/** Ends the hold that a reserve of unknown outcome may have left. Under the same key the ledger returns that hold. */
async function undoReserve(
  { ledger, logger }: MeteredCallDeps,
  reserve: ReserveOperation,
): Promise<void> {
  try {
    await sleep(UNDO_PAUSE_MS);
    await whileUnavailable(async () => {
      const { holdId } = await ledger.submit(reserve);
      await ledger.submit({ kind: "release", userId: reserve.userId, holdId });
    });
  } catch (error) {
    // Refused: there is no such hold, or an earlier attempt has ended it.
    if (isAppError(error) && error.httpStatus < 500) return;
    logger.warn(
      { err: error },
      "a metered call that did not begin may have left a hold; it will expire",
    );
  }
}

async function endCall(
  { ledger, logger }: MeteredCallDeps,
  state: CallState,
  how: CallEnd,
  error: unknown,
): Promise<void> {
  const { userId, holdId } = state;
  if (how === "refused") {
    await endHold(logger, () => ledger.submit({ kind: "release", userId, holdId }));
    return;
  }
  const usage = {
    model: state.model,
    durationMs: performance.now() - state.startedAt,
    success: how === "completed",
    error: how === "completed" ? null : reasonOf(how, error),
  };
  const amountCredits = chargeFor(how, state);
  await endHold(logger, () =>
    amountCredits === 0
      ? ledger.submit({ kind: "release", userId, holdId, usage })
      : ledger.submit({ kind: "settle", userId, holdId, amountCredits, usage }),
  );
}

/** HOLD_NOT_ACTIVE means an earlier attempt succeeded, or the hold expired. */
async function endHold(logger: Logger, end: () => Promise<unknown>): Promise<void> {
  try {
    await whileUnavailable(end);
  } catch (error) {
    if (!isAppError(error, "HOLD_NOT_ACTIVE"))
      logger.error({ err: error }, "a metered call was not charged; its hold will expire");
  }
}

/** Repeats `work` a few times while the ledger is unavailable. */
async function whileUnavailable(work: () => Promise<unknown>): Promise<void> {
  for (const pauseMs of [...SETTLE_PAUSES_MS, null]) {
    try {
      await work();
      return;
    } catch (error) {
      if (pauseMs === null || !isAppError(error, "SERVICE_UNAVAILABLE")) throw error;
      await sleep(pauseMs);
    }
  }
}

/**
 * Returns the credits to charge: the price if the call completed, otherwise what was produced, rounded up and at most
 * the price.
 */
function chargeFor(
  how: CallEnd,
  call: { readonly priceCredits: number; readonly producedCredits: number },
): number {
  if (how === "completed") return call.priceCredits;
  return Math.min(call.priceCredits, Math.max(0, Math.ceil(call.producedCredits)));
}

/** Returns the reason for the usage log: the error's code or name, never its message, which may quote user input. */
function reasonOf(how: CallEnd, error: unknown): string {
  if (how === "aborted") return "aborted";
  if (isAppError(error)) return error.code;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (isAppError(cause)) return cause.code;
  return cause instanceof Error ? cause.name : "failed";
}
