// Live balances: one subscription per instance, woken by change notifications, and correct even if those get lost.
import type { PubSub } from "../kv/ports.ts";
import { AppError, isAppError } from "../lib/errors.ts";
import { CREDIT_CHANNEL } from "../ledger/balance-cache.ts";
import type { Logger } from "../lib/logger.ts";
import { createWaiter } from "../lib/waiter.ts";
import type { Balances } from "./balances.ts";
import type { LiveBalance } from "./credit.types.ts";

const DEFAULT_POLL_MS = 30_000;
const RETRY_MS = 2_000;
const MAX_STREAMS_PER_USER = 20;

interface Deps {
  readonly pubsub: PubSub;
  readonly balances: Pick<Balances, "read">;
  readonly logger: Logger;
  readonly livePollMs?: number;
}

interface Watcher {
  wake(): void;
}

/** The watchers on this instance. Subscribes to the channel while there are any. */
interface Hub {
  join(userId: string, watcher: Watcher): void;
  leave(userId: string, watcher: Watcher): void;
  /** Resolves once the channel is subscribed, or the subscription has failed. */
  listening(): Promise<unknown>;
}

/** Returns `credit.onChange` of this instance. */
export function createLiveBalances(
  deps: Deps,
): (userId: string, signal: AbortSignal) => AsyncGenerator<LiveBalance, void, void> {
  const hub = createHub(deps);
  return (userId, signal) => watchBalance(deps, hub, userId, signal);
}

async function* watchBalance(
  deps: Deps,
  hub: Hub,
  userId: string,
  signal: AbortSignal,
): AsyncGenerator<LiveBalance, void, void> {
  const pollMs = deps.livePollMs ?? DEFAULT_POLL_MS;
  const waiter = createWaiter(signal);
  // `join` is inside the `try`, so that a refused watcher releases the signal, too: Node.js keeps a composite signal
  // alive while it has listeners.
  try {
    hub.join(userId, waiter);
    await hub.listening();
    let last: LiveBalance | null = null;
    while (!signal.aborted) {
      const current = await readLiveBalance(deps, userId, last !== null);
      if (current !== null && !isSame(current, last)) {
        last = current;
        yield current;
      }
      await waiter.wait(current === null ? RETRY_MS : pollMs * (0.8 + 0.4 * Math.random()));
    }
  } finally {
    hub.leave(userId, waiter);
    waiter.close();
  }
}

function createHub({ pubsub, logger }: Pick<Deps, "pubsub" | "logger">): Hub {
  const watchers = new Map<string, Set<Watcher>>();
  let channel: Promise<() => Promise<void>> | null = null;

  function onMessage(message: string): void {
    try {
      for (const userId of JSON.parse(message) as string[])
        for (const watcher of watchers.get(userId) ?? []) watcher.wake();
    } catch (error) {
      logger.warn({ err: error }, "unreadable balance announcement");
    }
  }

  return {
    listening: () => Promise.resolve(channel),
    join(userId, watcher) {
      const mine = watchers.get(userId) ?? new Set();
      if (mine.size >= MAX_STREAMS_PER_USER)
        throw AppError.of("RATE_LIMITED", "Too many live balances are open for this account.", {
          retryAfterSeconds: 60,
        });
      watchers.set(userId, mine.add(watcher));
      channel ??= pubsub.subscribe(CREDIT_CHANNEL, onMessage).catch((error: unknown) => {
        // The slow poll works without it, and the next watcher tries again.
        logger.warn({ err: error }, "live balances fall back to polling");
        channel = null;
        return () => Promise.resolve();
      });
    },
    leave(userId, watcher) {
      const mine = watchers.get(userId);
      mine?.delete(watcher);
      if (mine?.size === 0) watchers.delete(userId);
      if (watchers.size > 0 || channel === null) return;
      const closing = channel;
      channel = null;
      closing
        .then((unsubscribe) => unsubscribe())
        .catch((error: unknown) =>
          logger.warn({ err: error }, "could not unsubscribe from the channel"),
        );
    },
  };
}

/** Returns null if the read failed and the stream may wait for the next one. */
async function readLiveBalance(
  { balances, logger }: Pick<Deps, "balances" | "logger">,
  userId: string,
  mayWait: boolean,
): Promise<LiveBalance | null> {
  try {
    const { credits, held, seq } = await balances.read(userId);
    return { credits, held, available: credits - held, seq };
  } catch (error) {
    if (!mayWait || isAppError(error, "NOT_FOUND")) throw error;
    logger.warn({ err: error }, "a live balance could not be read");
    return null;
  }
}

function isSame(a: LiveBalance, b: LiveBalance | null): boolean {
  return b !== null && a.credits === b.credits && a.held === b.held && a.seq === b.seq;
}
