// Output of metered runs over Redis: the producer keeps its own copy and mirrors it into one stream per run, so that
// readers on other instances can replay and follow it. While Redis is unavailable the run continues, and the mirror
// catches up afterwards.
import { jitteredMs } from "../../lib/backoff.ts";
import type { Logger } from "../../lib/logger.ts";
import {
  createMemoryRunOutput,
  type MemoryRunOutput,
  OUTPUT_PAGE_SIZE,
} from "../memory-run-output.ts";
import type { OutputPage, PubSub, RunOutput } from "../ports.ts";
import type { RedisCircuit } from "./circuit-breaker.ts";

/** Events per command, so that catching up never blocks Redis for long. */
const MIRROR_CHUNK = 200;
const MIRROR_RETRY_MS = 500;
const READER_TTL_MS = 900_000;
/** The channel on which readers report that Redis lacks output of a run. */
const MISSING_CHANNEL = "run-missing";
/** Approximate maximum length of a stream (MAXLEN ~), whatever its producer does. */
const MAX_STREAM_LENGTH = 50_000;

// An event's number is its stream id, so a repeated append adds no second event. Returns the number of the last event
// kept. If that is lower than what was sent, earlier ones are missing (Redis was emptied) and everything after it is
// sent again.
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

/** Dependencies of the store. */
export interface RedisRunOutputDeps {
  readonly circuit: RedisCircuit;
  /** Carries the wake-ups. */
  readonly pubsub: PubSub;
  readonly keyPrefix: string;
  readonly logger: Logger;
}

/** How much Redis has of one run that is produced here. */
interface Mirror {
  /** Number of the last event known to be in Redis. */
  mirroredSeq: number;
  expiresAtMs: number;
  sending: boolean;
  timer: NodeJS.Timeout | undefined;
}

interface State {
  readonly deps: RedisRunOutputDeps;
  readonly local: MemoryRunOutput;
  readonly mirrors: Map<string, Mirror>;
  closed: boolean;
}

/** Creates the store over `circuit`; wake-ups travel over `pubsub`. */
export function createRedisRunOutput(deps: RedisRunOutputDeps): RunOutput & { close(): void } {
  const { pubsub } = deps;
  const local = createMemoryRunOutput();
  const state: State = { deps, local, mirrors: new Map(), closed: false };
  // Redis may have lost what it had, so everything is offered again; what is still there is not appended twice.
  deps.circuit.onRecovery(() => {
    for (const [runId, progress] of state.mirrors) {
      progress.mirroredSeq = 0;
      void mirror(state, runId);
    }
    return Promise.resolve();
  });
  // Redis may also be emptied without ever being unavailable, and after a run's end no further append would reveal it.
  const listening = pubsub.subscribe(MISSING_CHANNEL, (runId) => void checkMirror(state, runId));
  listening.catch((error: unknown) => {
    deps.logger.warn(
      { err: error },
      "cannot subscribe to requests for run output; readers wait for the next check",
    );
  });
  return {
    isShared: true,
    begin: (runId, ttlSeconds) => begin(state, runId, ttlSeconds),
    append(runId, data) {
      const seq = local.append(runId, data);
      void mirror(state, runId);
      return seq;
    },
    finish: (runId, ttlSeconds) => finish(state, runId, ttlSeconds),
    appendAfterCrash: (runId, data, ttlSeconds) => appendAfterCrash(deps, runId, data, ttlSeconds),
    read: (runId, afterSeq) =>
      local.has(runId) ? local.read(runId, afterSeq) : readRemote(deps, runId, afterSeq),
    requestMissing: (runId) => pubsub.publish(MISSING_CHANNEL, runId),
    watch: (runId, listener) =>
      local.has(runId)
        ? local.watch(runId, listener)
        : pubsub.subscribe(channelOf(runId), listener),
    noteReader: (runId) =>
      local.has(runId) ? local.noteReader(runId) : noteRemoteReader(deps, runId),
    lastReaderAt: (runId) => lastReaderAt(state, runId),
    close() {
      state.closed = true;
      for (const runId of state.mirrors.keys()) forget(state, runId);
      local.close();
    },
  };
}

// The hash tag keeps the keys of one run on one node of a cluster.
function streamKey({ keyPrefix }: RedisRunOutputDeps, runId: string): string {
  return `${keyPrefix}:run:{${runId}}:events`;
}

function readerKey({ keyPrefix }: RedisRunOutputDeps, runId: string): string {
  return `${keyPrefix}:run:{${runId}}:reader`;
}

function channelOf(runId: string): string {
  return `run:${runId}`;
}

function begin(state: State, runId: string, ttlSeconds: number): void {
  const { local, mirrors } = state;
  local.begin(runId, ttlSeconds);
  for (const [id, { expiresAtMs }] of mirrors)
    if (expiresAtMs < performance.now()) forget(state, id);
  const expiresAtMs = performance.now() + ttlSeconds * 1000;
  mirrors.set(runId, { mirroredSeq: 0, expiresAtMs, sending: false, timer: undefined });
}

function finish(state: State, runId: string, ttlSeconds: number): void {
  const { deps, local, mirrors } = state;
  local.finish(runId, ttlSeconds);
  const progress = mirrors.get(runId);
  if (progress === undefined) return;
  progress.expiresAtMs = performance.now() + ttlSeconds * 1000;
  void deps.circuit.ask<unknown>(
    (client) => client.pexpire(streamKey(deps, runId), ttlSeconds * 1000),
    () => undefined,
  );
  void mirror(state, runId);
}

/** Sends Redis what it lacks of a run, one sender at a time. */
async function mirror(state: State, runId: string): Promise<void> {
  const progress = state.mirrors.get(runId);
  if (progress === undefined || progress.sending || state.closed) return;
  progress.sending = true;
  try {
    // Appends made in the same synchronous stretch of code share the command.
    await Promise.resolve();
    await sendMissing(state, runId, progress);
  } finally {
    progress.sending = false;
  }
}

/** Asks Redis how much it has of a run that is produced here, sends the rest, and notifies whoever asked. */
async function checkMirror(state: State, runId: string): Promise<void> {
  const progress = state.mirrors.get(runId);
  const ttlMs = (progress?.expiresAtMs ?? 0) - performance.now();
  if (progress === undefined || progress.sending || state.closed || ttlMs <= 0) return;
  const last = await append(state.deps, runId, [], { firstSeq: progress.mirroredSeq + 1, ttlMs });
  if (last === undefined) return;
  if (last < progress.mirroredSeq) progress.mirroredSeq = last;
  await mirror(state, runId);
  // Notified even when nothing was missing: to the reader that asked, silence would look like a producer that died.
  if (state.local.eventsFrom(runId, progress.mirroredSeq + 1).length === 0)
    await state.deps.pubsub.publish(channelOf(runId), String(progress.mirroredSeq));
}

async function sendMissing(state: State, runId: string, progress: Mirror): Promise<void> {
  const { deps, local } = state;
  for (;;) {
    const events = local.eventsFrom(runId, progress.mirroredSeq + 1).slice(0, MIRROR_CHUNK);
    const ttlMs = progress.expiresAtMs - performance.now();
    if (ttlMs <= 0) return forget(state, runId);
    if (events.length === 0) return;
    const last = await append(deps, runId, events, { firstSeq: progress.mirroredSeq + 1, ttlMs });
    if (last === undefined) return retryLater(state, runId, progress);
    if (last < progress.mirroredSeq)
      deps.logger.warn({ runId, last }, "Redis lost the output of a run; it is sent again");
    progress.mirroredSeq = last;
    await deps.pubsub.publish(channelOf(runId), String(last));
  }
}

/** Returns the number of the last event Redis has; undefined while it is unavailable. */
function append(
  deps: RedisRunOutputDeps,
  runId: string,
  events: readonly string[],
  { firstSeq, ttlMs }: { firstSeq: number; ttlMs: number },
): Promise<number | undefined> {
  const head = [String(firstSeq), String(Math.ceil(ttlMs)), String(MAX_STREAM_LENGTH)];
  const key = streamKey(deps, runId);
  return deps.circuit.ask<number | undefined>(
    async (client) => Number(await client.eval(APPEND, 1, key, ...head, ...events)),
    () => undefined,
  );
}

function retryLater(state: State, runId: string, progress: Mirror): void {
  clearTimeout(progress.timer);
  if (state.closed) return;
  progress.timer = setTimeout(() => void mirror(state, runId), jitteredMs(MIRROR_RETRY_MS));
  progress.timer.unref();
}

function forget({ mirrors }: State, runId: string): void {
  clearTimeout(mirrors.get(runId)?.timer);
  mirrors.delete(runId);
}

async function appendAfterCrash(
  deps: RedisRunOutputDeps,
  runId: string,
  data: string,
  ttlSeconds: number,
): Promise<void> {
  const last = await append(deps, runId, [data], { firstSeq: 0, ttlMs: ttlSeconds * 1000 });
  if (last !== undefined) await deps.pubsub.publish(channelOf(runId), String(last));
}

async function readRemote(
  deps: RedisRunOutputDeps,
  runId: string,
  afterSeq: number,
): Promise<OutputPage> {
  const key = streamKey(deps, runId);
  return deps.circuit.ask<OutputPage>(
    async (client) => {
      const [page, newest] = await Promise.all([
        client.xrange(key, `${afterSeq + 1}-0`, "+", "COUNT", OUTPUT_PAGE_SIZE),
        client.xrevrange(key, "+", "-", "COUNT", 1),
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
    () => ({ events: [], lastSeq: 0, reachable: false, isProducer: false }),
  );
}

async function noteRemoteReader(deps: RedisRunOutputDeps, runId: string): Promise<void> {
  await deps.circuit.ask<unknown>(
    (client) => client.set(readerKey(deps, runId), "1", "PX", READER_TTL_MS),
    () => undefined,
  );
}

async function lastReaderAt(
  { deps, local }: State,
  runId: string,
): Promise<number | null | undefined> {
  const here = await local.lastReaderAt(runId);
  // The key's age by Redis's own clock, because the clocks of two instances may differ by minutes.
  const leftMs = await deps.circuit.ask<number | undefined>(
    (client) => client.pttl(readerKey(deps, runId)),
    () => undefined,
  );
  if (leftMs === undefined) return undefined;
  if (leftMs < 0) return here;
  return Math.max(here ?? 0, performance.now() - (READER_TTL_MS - leftMs));
}

/** Returns the event's number in a stream id such as `7-0`. */
function seqOf(streamId: string): number {
  return Number(streamId.slice(0, streamId.indexOf("-")));
}
