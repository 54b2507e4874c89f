// The rows of `ai_runs`. A run is created in one transaction with its hold, and ended in one with its charge.
import { FEATURES } from "../../shared/src/features.ts";
import { ERROR_CODES, type ErrorCode } from "../../shared/src/errors.ts";
import type { Database, DatabaseTransaction, PrismaModels } from "../database/ports.ts";
import { classifyDatabaseError } from "../database/errors.ts";
import { databaseNow } from "../database/clock.ts";
import { lockUser } from "../database/lock-user.ts";
import { AppError, isAppError } from "../lib/errors.ts";
import { scopedKey } from "../ledger/idempotency-key.ts";
import type { Ledger } from "../ledger/ports.ts";
import type { EndedRun, Run, RunEnding } from "./ai.types.ts";
import { endedRun } from "./end-run.ts";
import type { RunOrder, RunStore } from "./ports.ts";

/** Dependencies of the store. */
interface RunStoreDeps {
  readonly database: Database;
  readonly ledger: Pick<Ledger, "applyIn" | "changed">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Returns the store over Prisma and the ledger. */
export function createRunStore(deps: RunStoreDeps): RunStore {
  const { models } = deps.database;
  return {
    find: (runId) => findRun(deps, runId),
    create: (order) => createRun(deps, order),
    renewLease: (runId, lease) => renewLease(deps, runId, lease),
    async requestStop(runId) {
      await models.aiRun.updateMany({
        where: { id: runId, state: "running", stopRequestedAt: null },
        data: { stopRequestedAt: new Date(deps.now()) },
      });
    },
    endAbandoned: (run) => endAbandonedRun(deps, run),
    now: () => databaseNow(deps.database),
    end: (run, ending) => endRun(deps, run, ending),
    async abandoned(limit) {
      const rows = await models.aiRun.findMany({
        where: { state: "running", leaseExpiresAt: { lt: await databaseNow(deps.database) } },
        orderBy: { leaseExpiresAt: "asc" },
        take: limit,
      });
      return rows.map(toRun);
    },
  };
}

async function findRun({ database }: RunStoreDeps, runId: string): Promise<Run | null> {
  const row = await database.models.aiRun.findUnique({ where: { id: runId } });
  return row === null ? null : toRun(row);
}

/** Rolls back a start whose key the ledger already knows: the run exists, unless jobs/retention.ts has deleted it. */
class KeyUsed extends Error {}

async function createRun(
  deps: RunStoreDeps,
  order: RunOrder,
): Promise<{ run: Run; isNew: boolean }> {
  const leaseExpiresAt = new Date((await databaseNow(deps.database)).getTime() + order.leaseMs);
  let made: Run | null = null;
  try {
    const run = await deps.database.transaction(async (tx) => {
      made = await insertRun(deps, tx, { ...order, leaseExpiresAt });
      return made;
    });
    await deps.ledger.changed([order.userId]);
    return { run, isNew: true };
  } catch (error) {
    return existingRun(deps, order, made, error);
  }
}

/** Returns the run that exists after a start that failed. Throws the error if there is none. */
async function existingRun(
  deps: RunStoreDeps,
  order: RunOrder,
  made: Run | null,
  error: unknown,
): Promise<{ run: Run; isNew: boolean }> {
  const isUsed = error instanceof KeyUsed || classifyDatabaseError(error) === "unique";
  const isUnknown = isAppError(error, "SERVICE_UNAVAILABLE");
  if (!isUsed && !isUnknown) throw error;
  const run = await findRun(deps, order.runId);
  // Of two callers with the same key, the second finds the first one's run, and its own hold is rolled back.
  if (run !== null && isUsed) return { run, isNew: false };
  // Our COMMIT took effect although its response was lost, so this caller is the one that produces.
  if (run !== null && run.holdId === made?.holdId) {
    await deps.ledger.changed([order.userId]);
    return { run, isNew: true };
  }
  if (error instanceof KeyUsed)
    throw AppError.of(
      "IDEMPOTENCY_CONFLICT",
      "This idempotency key was used long ago. Use a new key.",
    );
  throw error;
}

async function insertRun(
  { ledger, now }: RunStoreDeps,
  tx: DatabaseTransaction,
  order: RunOrder & { readonly leaseExpiresAt: Date },
): Promise<Run> {
  const [hold] = await ledger.applyIn(tx, [
    {
      kind: "reserve",
      userId: order.userId,
      feature: order.feature,
      amountCredits: order.priceCredits,
      priceVersion: order.priceVersion,
      idempotencyKey: scopedKey("ai", order.runId),
      ttlSeconds: order.holdSeconds,
      scopeLimit: order.maxConcurrent,
    },
  ]);
  if (hold === undefined || hold.replayed) throw new KeyUsed();
  const row = await tx.models.aiRun.create({
    data: {
      id: order.runId,
      userId: order.userId,
      feature: order.feature,
      inputHash: order.inputHash,
      holdId: hold.holdId,
      heldCredits: order.priceCredits,
      state: "running",
      leaseExpiresAt: order.leaseExpiresAt,
      createdAt: new Date(now()),
    },
  });
  return toRun(row);
}

async function renewLease(
  { database }: RunStoreDeps,
  runId: string,
  { leaseMs, producedCredits }: { readonly leaseMs: number; readonly producedCredits: number },
): Promise<"running" | "stopRequested" | "ended"> {
  const leaseExpiresAt = new Date((await databaseNow(database)).getTime() + leaseMs);
  const { count } = await database.models.aiRun.updateMany({
    where: { id: runId, state: "running" },
    data: { leaseExpiresAt, producedCredits },
  });
  if (count === 0) return "ended";
  const row = await database.models.aiRun.findUnique({
    where: { id: runId },
    select: { stopRequestedAt: true },
  });
  return row === null || row.stopRequestedAt === null ? "running" : "stopRequested";
}

/** Ends a run whose producer died, unless its lease was renewed or it ended since it was listed. */
async function endAbandonedRun(deps: RunStoreDeps, { id, userId }: Run): Promise<EndedRun | null> {
  const now = await databaseNow(deps.database);
  const ending = deps.database.transaction(async (tx) => {
    // Lock the user's row first, as the ledger does; under that lock nobody else can end the run.
    await lockUser(tx, userId);
    // The run's row is locked by the same statement that checks the lease, because a renewal takes no lock of the user.
    const { count } = await tx.models.aiRun.updateMany({
      where: { id, state: "running", leaseExpiresAt: { lte: now } },
      data: { endedAt: now },
    });
    if (count === 0) return null;
    const run = toRun(await tx.models.aiRun.findUniqueOrThrow({ where: { id } }));
    return settleAndEnd(deps, tx, run, {
      outcome: "failed",
      code: "SERVICE_UNAVAILABLE",
      chargeCredits: run.producedCredits,
      model: null,
      inputTokens: null,
      outputTokens: null,
      durationMs: Math.max(0, now.getTime() - run.createdAt.getTime()),
      lastSeq: null,
      endedAt: now,
    });
  });
  const ended = await ending.catch(async (error: unknown) => {
    // The charge may be committed although the response to COMMIT was lost. Then nobody would end the run again, so
    // the change has to be published here.
    if (isAppError(error, "SERVICE_UNAVAILABLE")) await deps.ledger.changed([userId]);
    throw error;
  });
  if (ended !== null) await deps.ledger.changed([userId]);
  return ended;
}

/** How a run is to end. A producer that died left no number for the last event. */
type Ending = Omit<RunEnding, "lastSeq"> & {
  readonly lastSeq: number | null;
  readonly endedAt: Date;
};

async function endRun(deps: RunStoreDeps, run: Run, ending: RunEnding): Promise<EndedRun> {
  // Read before the transaction, because inside it this would take a second connection.
  const endedAt = await databaseNow(deps.database);
  const ended = await deps.database.transaction((tx) =>
    settleAndEnd(deps, tx, run, { ...ending, endedAt }),
  );
  await deps.ledger.changed([run.userId]);
  return ended;
}

async function settleAndEnd(
  deps: RunStoreDeps,
  tx: DatabaseTransaction,
  run: Run,
  ending: Ending,
): Promise<EndedRun> {
  // The ledger locks the user's row first, as everywhere; under that lock nobody else can end this run.
  const balance = await chargeRun(deps, tx, run, ending);
  if (balance === null) {
    const row = await tx.models.aiRun.findUniqueOrThrow({ where: { id: run.id } });
    const current = toRun(row);
    if (current.state !== "running") return endedRun(current);
  }
  const charged = balance === null ? 0 : ending.chargeCredits;
  const credits = balance ?? (await balanceOf(tx, run.userId));
  await tx.models.aiRun.update({
    where: { id: run.id },
    data: {
      state: ending.outcome,
      charged,
      balance: credits,
      code: ending.code,
      model: ending.model,
      lastSeq: ending.lastSeq,
      endedAt: ending.endedAt,
    },
  });
  return { outcome: ending.outcome, charged, balance: credits, code: ending.code };
}

/** Returns the balance after the charge; null when the hold is no longer active. */
async function chargeRun(
  { ledger }: RunStoreDeps,
  tx: DatabaseTransaction,
  run: Run,
  ending: Ending,
): Promise<number | null> {
  const { userId, holdId } = run;
  const usage = {
    model: ending.model,
    durationMs: ending.durationMs,
    success: ending.outcome === "completed",
    error: ending.outcome === "completed" ? null : (ending.code ?? ending.outcome),
    inputTokens: ending.inputTokens,
    outputTokens: ending.outputTokens,
  };
  const amountCredits = ending.chargeCredits;
  try {
    const [result] =
      amountCredits === 0
        ? await ledger.applyIn(tx, [{ kind: "release", userId, holdId, usage }])
        : await ledger.applyIn(tx, [{ kind: "settle", userId, holdId, amountCredits, usage }]);
    return result?.credits ?? 0;
  } catch (error) {
    if (isAppError(error, "HOLD_NOT_ACTIVE") || isAppError(error, "NOT_FOUND")) return null;
    throw error;
  }
}

async function balanceOf(tx: DatabaseTransaction, userId: string): Promise<number> {
  const user = await tx.models.user.findUnique({
    where: { id: userId },
    select: { credits: true },
  });
  return user?.credits ?? 0;
}

type Row = NonNullable<Awaited<ReturnType<PrismaModels["aiRun"]["findUnique"]>>>;

const STATES = ["running", "completed", "stopped", "failed"] as const;

function toRun({ stopRequestedAt: _asked, ...row }: Row): Run {
  const codes = Object.keys(ERROR_CODES) as ErrorCode[];
  return {
    ...row,
    feature: FEATURES.find((feature) => feature === row.feature) ?? FEATURES[0],
    state: STATES.find((state) => state === row.state) ?? "failed",
    code: codes.find((code) => code === row.code) ?? null,
  };
}
