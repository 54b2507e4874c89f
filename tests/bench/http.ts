// The rows over HTTP: the real program in its own process, against an empty procedure on the official stack.
import type { Metered } from "./cpu.ts";
import type { LoadAnswer, LoadOrder, LoadRequest } from "./http-load.process.ts";
import { type HttpStage, openHttpStage, post, SPEND, type Target } from "./http-stage.ts";
import { type Measured, middle } from "./load.ts";
import type { CpuMicros, Report } from "./report.ts";
import { IN_FLIGHT } from "./world.ts";

const USERS = 1_000;
const ROUNDS = 3;
/** Until V8 has compiled the hot code: a real server runs for days. */
const WARM_UP_SECONDS = 4;
/** At the start of a turn every cache is cold simultaneously, because of the others' turns; real traffic never is. */
const RAMP_UP_SECONDS = 0.5;
/** Each run is two requests and a stream of hundreds of events; more of them would only queue. */
const RUNS_IN_FLIGHT = 16;
/** A row with a larger share of refusals says nothing about speed. */
const TOLERATED_REFUSALS = 0.01;

const BALANCE: LoadRequest = { method: "GET", path: "/api/trpc/credit.balance" };
const NOOP = post("/api/trpc/noop", {});
const START_RUN = post("/api/trpc/ai.start", {
  feature: "chat-flash",
  messages: [{ role: "user", content: "Why is the sky blue?" }],
  idempotencyKey: "KEY",
});

interface HttpRow {
  readonly name: string;
  readonly target: Target;
  readonly request: LoadRequest;
  readonly tokens: readonly string[];
  readonly readsRun?: boolean;
  readonly inFlight: number;
  /** The credits that one call costs. */
  readonly credits: number;
  readonly note: string;
}

/** Measures http.noop, http.balance, http.spend, http.run and physical.*: 64 keep-alive callers, 1,000 users. */
export async function benchHttp(report: Report, seconds: number): Promise<void> {
  const stage = await openHttpStage();
  if (stage === null) return report.say("http: no database");
  try {
    report.say(`http: ${costsFrom(stage)}`);
    const rows = await openRows(stage);
    const before = await stage.credits();
    const results = await measureInTurns(stage, rows, seconds);
    const noop = middle(results.find(({ row }) => row.name === "http.noop")?.runs ?? []);
    for (const { row, runs, cpu, calls, refused, firstRefusal } of results) {
      if (refused > 0) report.say(`${row.name}: ${refused} refused, first: ${firstRefusal}`);
      if (refused > calls * TOLERATED_REFUSALS) continue;
      const mine = middle(runs);
      const ratio = row.name === "http.noop" ? null : mine.opsPerSecond / noop.opsPerSecond;
      report.add(row.name, mine, ratio, row.note, perCall(cpu, calls));
    }
    checkCredits(results, before - (await stage.credits()));
  } finally {
    await stage.close();
  }
}

/** Checks the credits: a benchmark that is fast because it loses money is useless. Refused runs may have cost some. */
function checkCredits(results: readonly Result[], taken: number): void {
  const sum = (of: (result: Result) => number) =>
    results.reduce((total, result) => total + of(result) * result.row.credits, 0);
  const due = sum(({ answered }) => answered);
  const unclear = sum(({ row, refused }) => (row.readsRun === true ? refused : 0));
  if (taken < due || taken > due + unclear)
    throw new Error(`${due} credits were due, ${taken} were taken.`);
}

/** Describes whose CPU is counted, and whose cannot be. */
function costsFrom({ database, redis, usesMysql, usesRedis }: HttpStage): string {
  const absent = "not on this machine, or not ours to see";
  const databaseName = usesMysql ? (database?.name ?? absent) : "part of the server";
  const redisName = usesRedis ? (redis?.name ?? absent) : "part of the server";
  return `CPU of the database: ${databaseName}; of Redis: ${redisName}`;
}

async function openRows(stage: HttpStage): Promise<HttpRow[]> {
  // After a spend, a user's balance is read from the database, so readers, spenders and the others are different users.
  const readers = await stage.signIn(USERS);
  const spenders = await stage.signIn(USERS);
  const askers = await stage.signIn(USERS);
  const model = await stage.startStack("model");
  const app = await stage.startServer({
    AI_BASE_URL: `http://127.0.0.1:${model.port}/v1`,
    AI_MODEL_FLASH: "stand-in-flash",
    AI_MODEL_PRO: "stand-in-pro",
  });
  const echo = post("/echo", { ok: true });
  const bare = async (stack: string) => stage.startStack("physical", { STACK: stack });
  const row = (name: string, target: Target, request: LoadRequest, note = "") => ({
    ...{ name, target, request, note, tokens: readers, inFlight: IN_FLIGHT, credits: 0 },
  });
  return [
    row("physical.node", await bare("node"), echo, "bare node:http that echoes JSON"),
    row("physical.express", await bare("express"), echo, "bare Express that echoes JSON"),
    row("physical.trpc", await bare("trpc"), NOOP, "tRPC's own Express adapter, nothing else"),
    row("http.noop", await stage.startStack("noop"), NOOP),
    row("http.balance", app, BALANCE),
    { ...row("http.spend", app, SPEND), tokens: spenders, credits: 1 },
    {
      ...row(
        "http.run",
        app,
        START_RUN,
        `start, and read to the end; ${RUNS_IN_FLIGHT} callers, a stand-in model`,
      ),
      ...{ tokens: askers, readsRun: true, inFlight: RUNS_IN_FLIGHT, credits: 1 },
    },
  ];
}

/** The measurements of a row. */
interface Result {
  readonly row: HttpRow;
  readonly runs: Measured[];
  calls: number;
  /** Calls including those of the warm-up. */
  answered: number;
  refused: number;
  firstRefusal: string;
  cpu: CpuMicros;
}

/** Measures the rows in turns, so that other load on the machine affects them all; the first round is a warm-up. */
async function measureInTurns(
  stage: HttpStage,
  rows: readonly HttpRow[],
  seconds: number,
): Promise<Result[]> {
  const nothing: CpuMicros = { server: 0, database: 0, redis: 0, callers: 0 };
  const results = rows.map((row): Result => {
    return { row, runs: [], calls: 0, answered: 0, refused: 0, firstRefusal: "", cpu: nothing };
  });
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const result of results) {
      const length = round === 0 ? Math.min(seconds * 2, WARM_UP_SECONDS) : seconds / 2;
      const rampUp = await measureOnce(stage, result.row, RAMP_UP_SECONDS);
      const { answer, cpu } = await measureOnce(stage, result.row, length);
      for (const one of [rampUp.answer, answer]) {
        result.answered += one.operations - one.refused;
        result.refused += one.refused;
        result.firstRefusal ||= one.firstRefusal.slice(0, 15);
      }
      if (round === 0) continue;
      result.runs.push(answer);
      result.calls += answer.operations;
      result.cpu = combine(result.cpu, cpu, (sum, one) => sum + one);
    }
  }
  return results;
}

async function measureOnce(stage: HttpStage, row: HttpRow, seconds: number) {
  const { target, request, tokens, inFlight, readsRun = false } = row;
  const read = (metered: Metered | null) => metered?.cpuMicroseconds() ?? null;
  const readAll = () => ({
    server: read(target.process),
    database: read(stage.database),
    redis: read(stage.redis),
  });
  const before = { ...readAll(), callers: 0 };
  const order: LoadOrder = {
    ...{ port: target.port, request, tokens, readsRun, inFlight, seconds },
  };
  const answer = await stage.callers.ask<LoadAnswer>(order);
  const after = { ...readAll(), callers: answer.cpuMicroseconds };
  return { answer, cpu: combine(after, before, (one, other) => one - other) };
}

function combine(
  one: CpuMicros,
  other: CpuMicros,
  by: (one: number, other: number) => number,
): CpuMicros {
  const both = (a: number | null, b: number | null) => (a === null || b === null ? null : by(a, b));
  return {
    server: both(one.server, other.server),
    database: both(one.database, other.database),
    redis: both(one.redis, other.redis),
    callers: both(one.callers, other.callers),
  };
}

const perCall = (cpu: CpuMicros, calls: number): CpuMicros =>
  combine(cpu, cpu, (total) => Math.round((total / calls) * 10) / 10);
