// `npm run doctor`: audits the ledger of the configured database; a line per violation, exit code 1 if there is any.
import { runDoctor } from "../../ledger/audit/audit.ts";
import { runCommand } from "./command.ts";

await runCommand(async (_app, { database }) => {
  const startedAt = Date.now();
  let toldAt = startedAt;
  let users = 0;
  const violations = await runDoctor({
    database,
    onProgress(progress) {
      users = progress.users;
      if (Date.now() - toldAt < 1_000) return;
      toldAt = Date.now();
      process.stderr.write(
        `${progress.users} of ${progress.totalUsers} users, ${progress.violations} violations\n`,
      );
    },
  });
  for (const { invariant, userId, detail } of violations)
    process.stdout.write(`VIOLATION  ${invariant}  user ${userId}  ${detail}\n`);
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(
    violations.length === 0
      ? `The ledger is sound: ${users} users, every invariant, ${seconds} s.\n`
      : `${violations.length} violations among ${users} users, ${seconds} s.\n`,
  );
  return violations.length === 0;
});
