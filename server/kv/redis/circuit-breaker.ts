// Decides whether Redis is used at all: after one failure nothing waits for it until it responds again.
import { Cluster } from "ioredis";
import type { RedisStats } from "../ports.ts";
import { jitteredMs } from "../../lib/backoff.ts";
import type { Logger } from "../../lib/logger.ts";
import { withTimeout } from "../../lib/timeout.ts";
import { COMMAND_TIMEOUT_MS, type RedisClient } from "./client.ts";
import { reasonOf } from "./failure.ts";

/** A circuit breaker in front of one client. */
export interface RedisCircuit {
  /** True while Redis is considered unavailable; `ask` then resolves to its fallback immediately. */
  readonly open: boolean;
  /**
   * Resolves to what Redis replies, or to `fallback()` when it is unavailable, does not reply within 0.4 s, or replies
   * with an error. So a request waits for a hanging Redis at most once, however many commands it sends.
   */
  ask<T>(question: (client: RedisClient) => Promise<T>, fallback: () => T | Promise<T>): Promise<T>;
  /** Makes `work` run before the circuit closes again after an outage; while it fails, the circuit stays open. */
  onRecovery(work: (client: RedisClient) => Promise<void>): void;
  /** Sends one PING, by the same rules as the background probe. */
  probe(): Promise<boolean>;
  /** Returns why there is no connection, in words; null while there is one, or before the first attempt has failed. */
  trouble(): string | null;
  stats(): RedisStats;
  stop(): void;
}

const PROBE_EVERY_MS = 500;
/** Failed probes in a row after which the connection itself is considered dead (a firewall that swallows packets). */
const PROBES_BEFORE_RECONNECT = 4;

interface CircuitState {
  readonly client: RedisClient;
  readonly logger: Logger;
  readonly recoveries: ((client: RedisClient) => Promise<void>)[];
  open: boolean;
  opened: number;
  fallbacks: number;
  stopped: boolean;
  timer: NodeJS.Timeout | undefined;
  failedProbes: number;
  connectionError: unknown;
}

/** Creates a circuit over `client`; it starts closed. */
export function createRedisCircuit(client: RedisClient, logger: Logger): RedisCircuit {
  const state: CircuitState = {
    client,
    logger,
    recoveries: [],
    open: false,
    opened: 0,
    fallbacks: 0,
    stopped: false,
    timer: undefined,
    failedProbes: 0,
    connectionError: undefined,
  };
  client.on("error", (error) => {
    state.connectionError = error;
  });
  client.on("ready", () => {
    state.connectionError = undefined;
  });
  return {
    get open() {
      return state.open;
    },
    ask: (question, fallback) => ask(state, question, fallback),
    onRecovery: (work) => void state.recoveries.push(work),
    probe: () => probe(state),
    trouble: () => (state.connectionError === undefined ? null : reasonOf(state.connectionError)),
    stats: () => ({
      circuitOpen: state.open,
      opened: state.opened,
      fallbacks: state.fallbacks,
    }),
    stop() {
      state.stopped = true;
      clearTimeout(state.timer);
    },
  };
}

async function ask<T>(
  state: CircuitState,
  question: (client: RedisClient) => Promise<T>,
  fallback: () => T | Promise<T>,
): Promise<T> {
  if (state.open) {
    state.fallbacks += 1;
    return fallback();
  }
  try {
    return await bounded(question(state.client), COMMAND_TIMEOUT_MS);
  } catch (error) {
    // A reply, even an error, shows that Redis is up; only silence and lost connections open the circuit.
    if (isReply(error)) state.logger.warn({ reason: reasonOf(error) }, "Redis refused a command");
    else trip(state, error);
    state.fallbacks += 1;
    return fallback();
  }
}

function trip(state: CircuitState, error: unknown): void {
  if (state.open || state.stopped) return;
  state.open = true;
  state.opened += 1;
  // Without a connection, the reason why there is none says more than the command that could not be sent.
  const cause = state.client.status === "ready" ? error : (state.connectionError ?? error);
  state.logger.warn(
    { reason: reasonOf(cause) },
    "Redis unavailable, using the in-process fallback",
  );
  scheduleProbe(state);
}

function scheduleProbe(state: CircuitState): void {
  if (state.stopped) return;
  state.timer = setTimeout(() => void recover(state), jitteredMs(PROBE_EVERY_MS));
  state.timer.unref();
}

async function recover(state: CircuitState): Promise<void> {
  // A node that has gone silent cannot say which node serves its slots now, so the others are asked.
  if (state.client instanceof Cluster) state.client.refreshSlotsCache();
  if (await probe(state)) {
    try {
      for (const work of state.recoveries)
        await bounded(work(state.client), COMMAND_TIMEOUT_MS * 2);
      state.open = false;
      state.logger.info("Redis available again");
      return;
    } catch (error) {
      state.logger.warn(
        { reason: reasonOf(error) },
        "Redis is available, but missed changes could not be applied yet",
      );
    }
  }
  scheduleProbe(state);
}

async function probe(state: CircuitState): Promise<boolean> {
  const { client } = state;
  try {
    await bounded(client.ping(), COMMAND_TIMEOUT_MS);
    state.failedProbes = 0;
    return true;
  } catch (error) {
    state.failedProbes += 1;
    trip(state, error);
    if (state.failedProbes % PROBES_BEFORE_RECONNECT === 0 && client.status === "ready") {
      client.disconnect(true);
    }
    return false;
  }
}

/** Cluster retries and Sentinel look-ups add their own delays to the command's timeout; this bounds the sum. */
function bounded<T>(running: Promise<T>, timeoutMs: number): Promise<T> {
  return withTimeout(running, timeoutMs, () => new Error(`No answer within ${timeoutMs} ms`));
}

/**
 * Whether Redis replied with an error. LOADING, CLUSTERDOWN and the like do not count: they come from a server that
 * cannot serve.
 */
function isReply(error: unknown): boolean {
  return (
    error instanceof Error &&
    error.name === "ReplyError" &&
    !/^(LOADING|CLUSTERDOWN|MASTERDOWN|READONLY|NOREPLICAS|MISCONF|BUSY|TRYAGAIN|MOVED|ASK)\b/.test(
      error.message,
    )
  );
}
