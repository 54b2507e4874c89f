// `npm run doctor`: audits the ledger of the configured database; a line per violation, exit code 1 if there is any.
// Entries proven in the last week are counted and not read again; `-- --full` reads everything.
import "./small-heap.ts";
import { parseArgs } from "node:util";
import { type AuditReport, auditLedger } from "../../ledger/audit/audit.ts";
import { runOnBackend } from "./command.ts";

const USAGE = `Usage: npm run doctor [-- --full]
  --full  proves every entry again, also those proven in the last week
`;

function readArguments() {
  try {
    return parseArgs({ options: { full: { type: "boolean", default: false } } }).values;
  } catch {
    process.stderr.write(USAGE);
    return process.exit(2);
  }
}

/** The database reads the rows of one step while this process checks those of the other. */
const CONCURRENCY = 2;

/** Says in words what was checked. */
function describeCoverage({ users, provenNow, provenEarlier, since }: AuditReport): string {
  const all = `${users} users, ${provenNow} entries`;
  if (since === null) return `${all}, all of them read`;
  return `${all} read now; ${provenEarlier} entries counted that were proven earlier, the oldest of those proofs from ${since.toISOString()} (-- --full reads them again)`;
}

const { full } = readArguments();

await runOnBackend(async ({ database, stats }) => {
  const startedAt = performance.now();
  let toldAt = startedAt;
  const report = await auditLedger({
    database,
    whole: full,
    // A small pool, and SQLite, can spare only one connection.
    concurrency: stats().pools.some(({ limit }) => limit >= CONCURRENCY * 2) ? CONCURRENCY : 1,
    onProgress(progress) {
      if (performance.now() - toldAt < 1_000) return;
      toldAt = performance.now();
      process.stderr.write(
        `${progress.users} of ${progress.totalUsers} users, ${progress.violations} violations\n`,
      );
    },
  });
  const { violations, isCut } = report;
  for (const { invariant, userId, detail } of violations)
    process.stdout.write(`VIOLATION  ${invariant}  user ${userId}  ${detail}\n`);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const more = isCut ? " and perhaps more, which the next run shows once these are mended" : "";
  process.stdout.write(
    violations.length === 0
      ? `The ledger is sound: ${describeCoverage(report)}; ${seconds} s.\n`
      : `${violations.length} violations${more}; ${describeCoverage(report)}; ${seconds} s.\n`,
  );
  return violations.length === 0;
});
