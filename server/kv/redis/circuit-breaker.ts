// Owns the decision whether Redis is asked at all: after one failure nobody waits for it until it answers again.
import type { Logger } from "../../lib/logger.ts";
import { COMMAND_TIMEOUT_MS, type RedisClient } from "./client.ts";
import { reasonOf } from "./failure.ts";

/** A gate in front of one client. */
export interface RedisCircuit {
  /** True while Redis is believed to be away; `ask` answers with its fallback at once. */
  readonly open: boolean;
  /**
   * What Redis answers, or `fallback()` when it is away, silent for 0.4 s, or answers with an error.
   * A request thus waits for a hanging Redis once at most, however many questions it has.
   */
  ask<T>(question: (client: RedisClient) => Promise<T>, fallback: () => T | Promise<T>): Promise<T>;
  /** Runs before the circuit closes again after an outage; while it fails, the circuit stays open. */
  onRecovery(work: (client: RedisClient) => Promise<void>): void;
  /** One PING by the background prober's rules. */
  probe(): Promise<boolean>;
  stop(): void;
}

const PROBE_EVERY_MS = 500;
/** Unanswered probes after which the connection itself is taken for dead (a firewall that swallows packets). */
const PROBES_BEFORE_RECONNECT = 4;

/** A circuit over `client`; it starts closed. */
export function createRedisCircuit(client: RedisClient, logger: Logger): RedisCircuit {
  const recoveries: ((client: RedisClient) => Promise<void>)[] = [];
  let open = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let failedProbes = 0;
  let connectionError: unknown;
  client.on("error", (error) => {
    connectionError = error;
  });

  function trip(error: unknown): void {
    if (open || stopped) return;
    open = true;
    // While there is no connection, why there is none says more than the command that could not be sent.
    const cause = client.status === "ready" ? error : (connectionError ?? error);
    logger.warn({ reason: reasonOf(cause) }, "Redis is away: going on without it");
    scheduleProbe();
  }

  function scheduleProbe(): void {
    if (stopped) return;
    timer = setTimeout(() => void recover(), PROBE_EVERY_MS * (0.75 + Math.random() / 2));
    timer.unref();
  }

  async function recover(): Promise<void> {
    if (await probe()) {
      try {
        for (const work of recoveries) await bounded(work(client), COMMAND_TIMEOUT_MS * 2);
        open = false;
        logger.info("Redis is back");
        return;
      } catch (error) {
        logger.warn({ reason: reasonOf(error) }, "Redis answers, but catching up with it failed");
      }
    }
    scheduleProbe();
  }

  async function probe(): Promise<boolean> {
    try {
      await bounded(client.ping(), COMMAND_TIMEOUT_MS);
      failedProbes = 0;
      return true;
    } catch (error) {
      failedProbes += 1;
      trip(error);
      if (failedProbes % PROBES_BEFORE_RECONNECT === 0 && client.status === "ready") {
        client.disconnect(true);
      }
      return false;
    }
  }

  return {
    get open() {
      return open;
    },
    async ask(question, fallback) {
      if (open) return fallback();
      try {
        return await bounded(question(client), COMMAND_TIMEOUT_MS);
      } catch (error) {
        // An answer, even an error, shows that Redis is there; only silence and lost connections open the circuit.
        if (isReply(error)) logger.warn({ reason: reasonOf(error) }, "Redis refused a command");
        else trip(error);
        return fallback();
      }
    },
    onRecovery: (work) => void recoveries.push(work),
    probe,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** Cluster retries and Sentinel look-ups have delays of their own beside the command's timeout; this bounds the sum. */
function bounded<T>(running: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`No answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const stopTimer = () => clearTimeout(timer);
    running.then(stopTimer, stopTimer);
    running.then(resolve, reject);
  });
}

/** LOADING, CLUSTERDOWN and the like are replies too, but from a server that cannot serve. */
function isReply(error: unknown): boolean {
  return (
    error instanceof Error &&
    error.name === "ReplyError" &&
    !/^(LOADING|CLUSTERDOWN|MASTERDOWN|READONLY|NOREPLICAS|MISCONF|BUSY|TRYAGAIN|MOVED|ASK)\b/.test(
      error.message,
    )
  );
}
