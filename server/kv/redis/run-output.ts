// Output of metered runs over Redis: the producer keeps its own copy and mirrors it into one stream per run, so that readers
// on other instances can replay and follow it. While Redis is unavailable the run goes on; the mirror catches up afterwards.
import type { Logger } from "../../lib/logger.ts";
import { createMemoryRunOutput, OUTPUT_PAGE_SIZE } from "../memory-run-output.ts";
import type { OutputPage, PubSub, RunOutput } from "../ports.ts";
import type { RedisCircuit } from "./circuit-breaker.ts";
import type { RedisClient } from "./client.ts";

/** Events sent in one command, so that catching up never holds Redis for long. */
const MIRROR_CHUNK = 200;
const MIRROR_RETRY_MS = 500;
const READER_TTL_MS = 900_000;
/** A stream never holds more than this, whatever its producer does. */
const MAX_STREAM_LENGTH = 50_000;

// An event's number is its stream id, so a repeated append is no second event. Returns the number of the last event kept:
// lower than what was sent when earlier ones are missing (Redis was emptied), and then they are sent again.
const APPEND = `local newest = redis.call('xrevrange', KEYS[1], '+', '-', 'COUNT', 1)
local last = 0
if newest[1] then last = tonumber(string.match(newest[1][1], '^(%d+)')) end
local seq = tonumber(ARGV[1])
if seq == 0 then seq = last + 1 end
if seq > last + 1 then return last end
for index = 4, #ARGV do
  if seq > last then
    redis.call('xadd', KEYS[1], 'MAXLEN', '~', ARGV[3], seq .. '-0', 'd', ARGV[index])
    last = seq
  end
  seq = seq + 1
end
redis.call('pexpire', KEYS[1], ARGV[2])
return last`;

interface Mirror {
  /** Number of the last event known to be in Redis. */
  mirroredSeq: number;
  expiresAtMs: number;
  sending: boolean;
  timer: NodeJS.Timeout | undefined;
}

/** The store over `circuit`; wake-ups travel over `pubsub`. */
export function createRedisRunOutput(options: {
  circuit: RedisCircuit;
  pubsub: PubSub;
  keyPrefix: string;
  logger: Logger;
}): RunOutput & { close(): void } {
  const { circuit, pubsub, keyPrefix, logger } = options;
  const local = createMemoryRunOutput();
  const mirrors = new Map<string, Mirror>();
  let closed = false;
  // The hash tag keeps the keys of one run on one node of a cluster.
  const streamKey = (runId: string) => `${keyPrefix}:run:{${runId}}:events`;
  const readerKey = (runId: string) => `${keyPrefix}:run:{${runId}}:reader`;

  async function mirror(runId: string): Promise<void> {
    const state = mirrors.get(runId);
    if (state === undefined || state.sending || closed) return;
    state.sending = true;
    try {
      // Callers of one turn of the event loop share the command.
      await Promise.resolve();
      await sendMissing(runId, state);
    } finally {
      state.sending = false;
    }
  }

  async function sendMissing(runId: string, state: Mirror): Promise<void> {
    for (;;) {
      const events = local.eventsFrom(runId, state.mirroredSeq + 1).slice(0, MIRROR_CHUNK);
      const ttlMs = state.expiresAtMs - Date.now();
      if (ttlMs <= 0) return forget(runId, state);
      if (events.length === 0) return;
      const last = await append(runId, state.mirroredSeq + 1, events, ttlMs);
      if (last === undefined) return retryLater(runId, state);
      if (last < state.mirroredSeq)
        logger.warn({ runId, last }, "Redis lost the output of a run; it is sent again");
      state.mirroredSeq = last;
      await pubsub.publish(`run:${runId}`, String(last));
    }
  }

  function append(
    runId: string,
    firstSeq: number,
    events: readonly string[],
    ttlMs: number,
  ): Promise<number | undefined> {
    const head = [String(firstSeq), String(Math.ceil(ttlMs)), String(MAX_STREAM_LENGTH)];
    return circuit.ask<number | undefined>(
      async (client) => Number(await client.eval(APPEND, 1, streamKey(runId), ...head, ...events)),
      () => undefined,
    );
  }

  function retryLater(runId: string, state: Mirror): void {
    clearTimeout(state.timer);
    if (closed) return;
    state.timer = setTimeout(
      () => void mirror(runId),
      MIRROR_RETRY_MS * (0.75 + Math.random() / 2),
    );
    state.timer.unref();
  }

  function forget(runId: string, state: Mirror): void {
    clearTimeout(state.timer);
    mirrors.delete(runId);
  }

  async function readRemote(runId: string, afterSeq: number): Promise<OutputPage> {
    const unreachable = { events: [], lastSeq: 0, reachable: false, isProducer: false };
    return circuit.ask<OutputPage>(
      async (client) => {
        const [page, newest] = await Promise.all([
          client.xrange(streamKey(runId), `${afterSeq + 1}-0`, "+", "COUNT", OUTPUT_PAGE_SIZE),
          client.xrevrange(streamKey(runId), "+", "-", "COUNT", 1),
        ]);
        return {
          events: page.map(([streamId, fields]) => ({
            seq: seqOf(streamId),
            data: fields[1] ?? "",
          })),
          lastSeq: newest[0] === undefined ? 0 : seqOf(newest[0][0]),
          reachable: true,
          isProducer: false,
        };
      },
      () => unreachable,
    );
  }

  return {
    begin(runId, ttlSeconds) {
      local.begin(runId, ttlSeconds);
      for (const [id, state] of mirrors) if (state.expiresAtMs < Date.now()) forget(id, state);
      mirrors.set(runId, {
        mirroredSeq: 0,
        expiresAtMs: Date.now() + ttlSeconds * 1000,
        sending: false,
        timer: undefined,
      });
    },
    append(runId, data) {
      const seq = local.append(runId, data);
      void mirror(runId);
      return seq;
    },
    finish(runId, ttlSeconds) {
      local.finish(runId, ttlSeconds);
      const state = mirrors.get(runId);
      if (state === undefined) return;
      state.expiresAtMs = Date.now() + ttlSeconds * 1000;
      void expireStream(runId, ttlSeconds);
      void mirror(runId);
    },
    async appendAfterCrash(runId, data, ttlSeconds) {
      const last = await append(runId, 0, [data], ttlSeconds * 1000);
      if (last !== undefined) await pubsub.publish(`run:${runId}`, String(last));
    },
    read: (runId, afterSeq) =>
      local.has(runId) ? local.read(runId, afterSeq) : readRemote(runId, afterSeq),
    watch: (runId, listener) =>
      local.has(runId) ? local.watch(runId, listener) : pubsub.subscribe(`run:${runId}`, listener),
    async noteReader(runId) {
      if (local.has(runId)) return local.noteReader(runId);
      await circuit.ask<unknown>(
        (client) => client.set(readerKey(runId), "1", "PX", READER_TTL_MS),
        () => undefined,
      );
    },
    async lastReaderAt(runId) {
      const here = await local.lastReaderAt(runId);
      // The key's age by Redis's own clock: those of two instances may differ by minutes.
      const leftMs = await circuit.ask<number | undefined>(
        (client) => client.pttl(readerKey(runId)),
        () => undefined,
      );
      if (leftMs === undefined) return undefined;
      if (leftMs < 0) return here;
      return Math.max(here ?? 0, Date.now() - (READER_TTL_MS - leftMs));
    },
    close() {
      closed = true;
      for (const [runId, state] of mirrors) forget(runId, state);
      local.close();
    },
  };

  function expireStream(runId: string, ttlSeconds: number): Promise<unknown> {
    return circuit.ask<unknown>(
      (client: RedisClient) => client.pexpire(streamKey(runId), ttlSeconds * 1000),
      () => undefined,
    );
  }
}

/** The event's number in a stream id `7-0`. */
function seqOf(streamId: string): number {
  return Number(streamId.slice(0, streamId.indexOf("-")));
}
