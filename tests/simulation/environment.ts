// What a process gets from Node.js without asking for it: time, timers and randomness, all from the seed instead.
import { AsyncLocalStorage } from "node:async_hooks";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import timersPromises from "node:timers/promises";
import { newId } from "../../server/lib/ids.ts";
import type { Random } from "../support/seeded-random.ts";
import type { Process, Scheduler } from "./scheduler.ts";

/** Which simulated process the running code belongs to: its timers end when it dies. */
export const running = new AsyncLocalStorage<Process>();

/**
 * Puts the seed's time and chance in place of Node.js's until the answered function is called. Server code reaches
 * them as globals and by `import`, so both are replaced; `setImmediate` stays real, because the scheduler's turns are
 * made of it.
 */
export function installEnvironment(scheduler: Scheduler, random: Random): () => void {
  const real = {
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    clearTimeout: globalThis.clearTimeout,
    clearInterval: globalThis.clearInterval,
    dateNow: Date.now,
    random: Math.random,
    sleep: timersPromises.setTimeout,
    randomFillSync: crypto.randomFillSync,
    randomInt: crypto.randomInt,
    randomUUID: crypto.randomUUID,
  };

  function start(work: () => void, delayMs: number, repeat: boolean): Timer {
    const everyMs = Number.isFinite(delayMs) ? Math.max(1, delayMs) : 1;
    const owner = running.getStore() ?? null;
    const timer = new Timer();
    const arm = (): void => {
      timer.cancel = scheduler.after(everyMs, owner, () => {
        if (repeat) arm();
        work();
      });
    };
    arm();
    return timer;
  }
  const stop =
    (really: (timer: NodeJS.Timeout | undefined) => void) =>
    (timer: unknown): void => {
      if (timer instanceof Timer) timer.cancel();
      else really(timer as NodeJS.Timeout | undefined);
    };

  let refilled = false;
  const replacements = {
    setTimeout: (work: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
      start(() => work(...args), ms, false),
    setInterval: (work: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
      start(() => work(...args), ms, true),
    clearTimeout: stop(real.clearTimeout),
    clearInterval: stop(real.clearInterval),
  };
  const startMs = scheduler.nowMs;
  Object.assign(globalThis, replacements);
  Object.assign(Date, { now: () => scheduler.nowMs });
  // A monotonic clock counts from the start of the process; zero would mean "never" to some.
  Object.assign(performance, { now: () => 1_000 + scheduler.nowMs - startMs });
  Object.assign(Math, { random: random.next });
  Object.assign(timersPromises, {
    setTimeout: (ms = 0, value?: unknown, options: { signal?: AbortSignal } = {}) =>
      sleep(start, ms, value, options.signal),
  });
  Object.assign(crypto, {
    randomFillSync: (bytes: Uint8Array) => {
      refilled = true;
      for (let at = 0; at < bytes.length; at += 1) bytes[at] = random.between(0, 255);
      return bytes;
    },
    randomInt: (below: number) => random.between(0, below - 1),
    randomUUID: () => newId(scheduler.nowMs),
  });
  syncBuiltinESMExports();
  // Ids are cut from a pool of random bytes: what the seed before left of it is used up.
  while (!refilled) newId(0);

  return () => {
    Object.assign(globalThis, {
      setTimeout: real.setTimeout,
      setInterval: real.setInterval,
      clearTimeout: real.clearTimeout,
      clearInterval: real.clearInterval,
    });
    Object.assign(Date, { now: real.dateNow });
    Reflect.deleteProperty(performance, "now");
    Object.assign(Math, { random: real.random });
    Object.assign(timersPromises, { setTimeout: real.sleep });
    Object.assign(crypto, {
      randomFillSync: real.randomFillSync,
      randomInt: real.randomInt,
      randomUUID: real.randomUUID,
    });
    syncBuiltinESMExports();
  };
}

/** What `setTimeout` answers; nothing keeps the simulation alive but its own steps. */
class Timer {
  cancel: () => void = () => undefined;
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return false;
  }
}

function sleep(
  start: (work: () => void, delayMs: number, repeat: boolean) => Timer,
  ms: number,
  value: unknown,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      timer.cancel();
      reject(new DOMException("The operation was aborted", "AbortError"));
    };
    const timer = start(
      () => {
        signal?.removeEventListener("abort", abort);
        resolve(value);
      },
      ms,
      false,
    );
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
