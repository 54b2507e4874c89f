// `npm run soak -- --warm-up-minutes 25 --minutes 30 --engine mysql`: two instances under load while their dependencies
// fail at random. Finally it audits every answer, runs the doctor and reconcile, and measures how memory grew after the
// warm-up in the instance that was never restarted.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { buildServer } from "../bench/built.ts";
import { createServerLives, type ServerLives } from "../faults/server-crash/server-lives.ts";
import { type Balancer, startBalancer } from "../support/balancer.ts";
import type { SqlEngine } from "../support/engines/programs.ts";
import { startSqlServer } from "../support/engines/sql-server.ts";
import { auditFailover } from "../support/failover-audit.ts";
import { startFailoverLoad } from "../support/failover-load.ts";
import { signInWithCredits } from "../support/failover-world.ts";
import { freePort } from "../support/ports.ts";
import { startStandIns } from "../support/process.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { FAULTS } from "./faults.ts";
import {
  growthPerHour,
  heldMemoryEnv,
  type MemorySample,
  readHeldMemory,
  SAMPLE_EVERY_MS,
} from "./memory.ts";
import { startPeople } from "./people.ts";
import { serverEnv } from "../support/server-env.ts";

const { values } = parseArgs({
  options: {
    "warm-up-minutes": { type: "string", default: "25" },
    minutes: { type: "string", default: "30" },
    engine: { type: "string", default: "mysql" },
  },
});
/**
 * During this time memory is still filling up: caches, pools, and the code of paths used only in outages, which V8
 * compiles late. Two heap snapshots, 29 minutes and 140 faults apart, differed by 1.6 MB: 1.4 of it code, 0.1 V8's weak
 * lists. Objects, closures, arrays and native handles took less than before.
 */
const warmUpMinutes = Number(values["warm-up-minutes"]);
const minutes = Number(values.minutes);
const PAUSE_BETWEEN_FAULTS_MS = 15_000;
/** Shorter during the warm-up: V8 compiles what only an outage runs after it has run some dozens of times. */
const PAUSE_WARMING_UP_MS = 3_000;
const FIRST_CALLS = 200;
const CURVE_EVERY_MINUTES = 5;
/** In per cent. An excess within twice the slope's standard error may be noise. */
const MAX_GROWTH_PER_HOUR = 1;

const closing: (() => Promise<unknown> | void)[] = [];
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<boolean> {
  const built = buildServer();
  closing.push(() => built.drop());
  const database = await startSqlServer(values.engine as SqlEngine);
  closing.push(() => database.close());
  const redis = await startRedisServer();
  closing.push(() => redis.kill());
  const balancer = await startBalancer();
  closing.push(() => balancer.close());
  const { sandbox, env: toldOfThem } = await startStandIns(balancer.port, {
    stripe: { maxEvents: 1_000_000 },
  });
  closing.push(() => sandbox.close());
  const env = serverEnv({
    DATABASE_URL: `${database.url}skywork`,
    REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    JWT_EXPIRES_IN: "24h",
    ADMIN_EMAILS: "admin@example.com",
    SHUTDOWN_DELAY_MS: "500",
    ...toldOfThem,
  });
  const start = async (more: Readonly<Record<string, string>> = {}): Promise<ServerLives> => {
    const port = String(await freePort());
    const server = createServerLives({ ...env, PORT: port, ...more }, [built.file("server/main")]);
    closing.push(() => server.close());
    await server.start();
    balancer.add(server);
    return server;
  };
  const folder = await mkdtemp(join(tmpdir(), "skywork-soak-"));
  closing.push(() => rm(folder, { recursive: true }));
  const steady = await start(heldMemoryEnv(folder));
  const second = createSecond(() => start(), balancer);
  await second.begin();

  const url = `http://localhost:${balancer.port}`;
  const users = await signInWithCredits(url);
  const load = startFailoverLoad(url, users, steady.url);
  const warmAtMs = Date.now() + warmUpMinutes * 60_000;
  const endsAtMs = warmAtMs + minutes * 60_000;
  let isOver = false;
  const people = startPeople({ users, stripe: sandbox.stripe.control, isOver: () => isOver });
  await load.flows(FIRST_CALLS, 60_000);
  const suffered = await breakThings(
    { warmAtMs, endsAtMs },
    {
      ...{ database, redis, sandbox },
      roll: second.roll,
      kill: second.kill,
    },
  );
  // Every outage is over: the last minute must be free of errors, and clients that were refused must get through.
  sandbox.stripe.control.wellBehaved();
  await load.flows(FIRST_CALLS, 60_000);
  const refusalsAfterFaults = load.refusals;
  await sleep(Math.min(60_000, minutes * 6_000));
  const samples: readonly MemorySample[] = await readHeldMemory(folder);
  const warm = samples.filter(({ atMs }) => atMs >= warmAtMs);
  const lateRefusals = load.refusals - refusalsAfterFaults;
  isOver = true;
  const tally = await people;
  await load.stop();

  await sandbox.stripe.control.idle();
  const reconciled = await steady.command("reconcile");
  const audit = await auditFailover(load, `${database.url}skywork`);
  const doctor = await steady.command("doctor");
  const growth = {
    heap: growthPerHour(warm, (sample) => sample.heapBytes),
    "heap without code": growthPerHour(warm, (sample) => sample.heapBytes - sample.codeBytes),
    rss: growthPerHour(warm, (sample) => sample.rssBytes),
    handles: growthPerHour(warm, (sample) => sample.handles),
  };
  const asked = audit.acknowledged + load.refusals;
  const mebibytes = (bytes = 0) => (bytes / 1_048_576).toFixed(1);
  say(`faults          ${JSON.stringify(suffered)}`);
  say(
    `spends          ${audit.acknowledged} acknowledged, ${audit.lost} lost, ${audit.inDoubt} in doubt`,
  );
  say(
    `error budget    ${load.refusals} calls refused of about ${asked} (${((100 * load.refusals) / asked).toFixed(3)} %), ${lateRefusals} after the last fault`,
  );
  say(
    `people          ${tally.bought} bought, runs ${JSON.stringify(tally.runs)}, refused ${JSON.stringify(tally.refused)}`,
  );
  say(`reconcile       ${reconciled.output.trim().replaceAll(/\s+/g, " ")}`);
  say(`doctor          ${doctor.output.trim().split("\n").at(-1)}`);
  say(
    `memory          heap ${mebibytes(warm[0]?.heapBytes)} to ${mebibytes(warm.at(-1)?.heapBytes)} MiB, rss ${mebibytes(warm[0]?.rssBytes)} to ${mebibytes(warm.at(-1)?.rssBytes)} MiB, handles ${warm[0]?.handles} to ${warm.at(-1)?.handles}`,
  );
  say(`heap over time  ${curve(samples, (sample) => mebibytes(sample.heapBytes))} MiB`);
  say(`of it code      ${curve(samples, (sample) => mebibytes(sample.codeBytes))} MiB`);
  const told = Object.entries(growth).map(
    ([what, { perHour, error }]) => `${what} ${perHour.toFixed(2)} +- ${error.toFixed(2)} %`,
  );
  say(`growth an hour  ${told.join(", ")} (slope and its standard error)`);
  const problems = [
    ...audit.broken,
    ...tally.wrong,
    ...(reconciled.code === 0 ? [] : ["reconcile has problems"]),
    ...(doctor.code === 0 ? [] : [doctor.output]),
    ...(lateRefusals === 0 ? [] : [`${lateRefusals} calls were refused after the last fault`]),
    ...Object.entries(growth)
      .filter(([, { perHour, error }]) => perHour - 2 * error > MAX_GROWTH_PER_HOUR)
      .map(([what, { perHour }]) => `${what} grows by ${perHour.toFixed(2)} % an hour`),
  ];
  for (const problem of problems) say(`PROBLEM         ${problem}`);
  return problems.length === 0;
}

/** Formats `samples` every few minutes, warm-up included. */
function curve(samples: readonly MemorySample[], text: (sample: MemorySample) => string): string {
  const perMinute = 60_000 / SAMPLE_EVERY_MS;
  return samples
    .filter((_, at) => at % (CURVE_EVERY_MINUTES * perMinute) === 0)
    .map(text)
    .join(", ");
}

/** The instance that is rolled and killed, alongside the steady one. */
function createSecond(start: () => Promise<ServerLives>, balancer: Balancer) {
  let current: ServerLives;
  return {
    async begin() {
      current = await start();
    },
    async roll() {
      const old = current;
      current = await start();
      const code = await balancer.drain(old, 250);
      if (code !== 0) throw new Error(`A rolled instance ended with ${code}.`);
    },
    async kill() {
      await current.kill();
      balancer.remove(current);
      await current.start();
      balancer.add(current);
    },
  };
}

/** Inflicts one random fault after another until the time is over; resolves with how often each occurred. */
async function breakThings(
  { warmAtMs, endsAtMs }: { readonly warmAtMs: number; readonly endsAtMs: number },
  broken: Parameters<(typeof FAULTS)[string]>[0],
): Promise<Record<string, number>> {
  const names = Object.keys(FAULTS);
  const suffered: Record<string, number> = {};
  while (Date.now() < endsAtMs) {
    const pauseMs = Date.now() < warmAtMs ? PAUSE_WARMING_UP_MS : PAUSE_BETWEEN_FAULTS_MS;
    await sleep(pauseMs * (0.5 + Math.random()));
    const name = names[Math.floor(Math.random() * names.length)] ?? "";
    suffered[name] = (suffered[name] ?? 0) + 1;
    say(`${new Date().toISOString()}  ${name}`);
    await FAULTS[name]?.(broken);
  }
  return suffered;
}

let isSound = false;
try {
  isSound = await main();
} finally {
  for (const close of closing.reverse()) await close();
}
process.exit(isSound ? 0 : 1);
