// The database as one simulated process reaches it: the real one behind the real port, over a line that may break.
import type {
  Database,
  DatabaseTransaction,
  PrismaModels,
  SqlSession,
} from "../../server/database/ports.ts";
import { toServiceUnavailable, UnknownOutcomeError } from "../../server/database/errors.ts";
import type { Life, Stage } from "./process.ts";
import { ProcessDied, silence } from "./scheduler.ts";

/** The connection was lost, as a driver says it. */
function lost(): Error {
  return Object.assign(new Error("simulated: connection lost"), { code: "ECONNRESET" });
}

/** A deadlock or a lock that took too long, as Prisma says it. */
function conflict(): Error {
  return Object.assign(new Error("simulated: write conflict"), { code: "P2034" });
}

/** What SERVICE_UNAVAILABLE says for an error of the line. */
function unavailable(error: Error): Error {
  return toServiceUnavailable(error) ?? error;
}

/** What COMMIT met, from its sender to whoever waits for its answer. */
interface Fate {
  answerLost: boolean;
}

type Run = (what: string, isWrite: boolean, call: () => Promise<unknown>) => Promise<unknown>;

const READS = /^(find|count|aggregate|groupBy|\$queryRaw)/;

/** The models, each statement of which goes through `run`. */
function throughLine(models: PrismaModels, run: Run): PrismaModels {
  const wrap = (target: object, prefix: string): object =>
    new Proxy(target, {
      get: (_, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof name === "symbol") return value;
        if (typeof value === "function")
          return (...args: unknown[]) =>
            run(`${prefix}${name}`, !READS.test(name), async () => {
              const answer: unknown = await Reflect.apply(value, target, args);
              return answer;
            });
        if (typeof value === "object" && value !== null) return wrap(value, `${name}.`);
        return value;
      },
    });
  return wrap(models, "") as PrismaModels;
}

/** The line of one process to `real`. */
export function createDatabaseLine(real: Database, stage: Stage, life: Life): Database {
  const { scheduler, faults, trace } = stage;
  const note = (text: string): void => trace.add(scheduler.nowMs, `${life.name} ${text}`);

  /** A statement on its own: its answer, or its effect, may be lost on the way. */
  const alone: Run = async (what, isWrite, call) => {
    await life.cross("statement", what);
    const fault = faults.statement(scheduler.nowMs);
    if (fault !== null) {
      note(`${what}: ${fault}`);
      throw fault === "away" ? lost() : conflict();
    }
    let result: unknown;
    try {
      result = await call();
    } catch (error) {
      await life.cross("statement", `${what}: refused`);
      throw error;
    }
    if (isWrite && faults.commit(scheduler.nowMs) === "lostAfter") {
      await life.cross("commit", `${what}: done, answer lost`);
      throw lost();
    }
    await life.cross("statement", `${what}: answered`);
    return result;
  };

  /** Statements of one transaction: in their order, on one connection, which stays broken once it broke. */
  function connection(): Run {
    let broken: Error | null = null;
    let last: Promise<unknown> = Promise.resolve();
    const one: Run = async (what, _isWrite, call) => {
      await life.cross("statement", `tx ${what}`, true);
      if (broken !== null) throw broken;
      const fault = faults.statement(scheduler.nowMs);
      if (fault === null) return call();
      note(`tx ${what}: ${fault}`);
      broken = fault === "away" ? lost() : conflict();
      throw broken;
    };
    return (what, isWrite, call) => {
      const turn = last.then(() => one(what, isWrite, call));
      last = turn.catch(() => undefined);
      return turn;
    };
  }

  function sessionThrough(session: SqlSession, run: Run): SqlSession {
    return {
      dialect: session.dialect,
      query: <Row>(sql: string, params: readonly unknown[]) =>
        run(`sql ${wordsOf(sql)}`, false, () => session.query<Row>(sql, params)) as Promise<Row[]>,
      execute: (sql, params) =>
        run(`sql ${wordsOf(sql)}`, true, () => session.execute(sql, params)) as Promise<number>,
    };
  }

  /** Runs `work`, then COMMIT as far as it gets before it takes effect. */
  async function upToCommit<T>(fate: Fate, work: () => Promise<T>): Promise<T> {
    if (!life.alive) throw new ProcessDied(life.name);
    const result = await work();
    await life.cross("commit", "tx commit", true);
    const fault = faults.commit(scheduler.nowMs);
    if (fault === "lostBefore") {
      note("tx commit: lost before");
      throw new UnknownOutcomeError(lost());
    }
    if (fault === "conflict") {
      note("tx commit: conflict");
      throw conflict();
    }
    fate.answerLost = fault === "lostAfter";
    return result;
  }

  /** What the process hears of a transaction that has ended. */
  async function heard<T>(fate: Fate, ended: Promise<T>, told: (error: Error) => Error) {
    let result: T;
    try {
      result = await ended;
    } catch (error) {
      if (!life.alive) return silence<T>();
      await life.cross("statement", "tx rolled back");
      throw error;
    }
    if (!life.alive) return silence<T>();
    await life.cross("commit", fate.answerLost ? "tx committed, answer lost" : "tx committed");
    if (fate.answerLost) throw told(lost());
    return result;
  }

  async function begin(): Promise<Error | null> {
    await life.cross("statement", "tx begin");
    if (faults.statement(scheduler.nowMs) !== "away") return null;
    note("tx begin: away");
    return lost();
  }

  return {
    dialect: real.dialect,
    models: throughLine(real.models, alone),
    read: <Row>(sql: string, params: readonly unknown[]) =>
      alone(`sql ${wordsOf(sql)}`, false, () => real.read<Row>(sql, params)) as Promise<Row[]>,
    transaction: async <T>(work: (tx: DatabaseTransaction) => Promise<T>) => {
      const refused = await begin();
      if (refused !== null) throw unavailable(refused);
      const fate: Fate = { answerLost: false };
      const ended = real.transaction((tx) =>
        upToCommit(fate, () => {
          const line = connection();
          return work({ models: throughLine(tx.models, line), sql: sessionThrough(tx.sql, line) });
        }),
      );
      return heard(fate, ended, (error) => unavailable(new UnknownOutcomeError(error)));
    },
    maxConcurrentRawTransactions: real.maxConcurrentRawTransactions,
    rawTransaction: async <T>(work: (session: SqlSession) => Promise<T>) => {
      const refused = await begin();
      if (refused !== null) throw refused;
      const fate: Fate = { answerLost: false };
      const ended = real.rawTransaction((session) =>
        upToCommit(fate, () => work(sessionThrough(session, connection()))),
      );
      return heard(fate, ended, (error) => new UnknownOutcomeError(error));
    },
  };
}

/** `SELECT credit_grants`: enough of a statement to read a trace. */
function wordsOf(sql: string): string {
  const verb = /^\s*(\w+)/.exec(sql)?.[1] ?? "?";
  const table = /(?:INTO|UPDATE|JOIN|FROM)\s+([a-z_]+)(?:\s|$)/.exec(sql)?.[1] ?? "";
  return `${verb} ${table}`.trim();
}
