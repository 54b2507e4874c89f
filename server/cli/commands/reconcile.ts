// `npm run reconcile`: catches up with Stripe and prints what it repaired. `--days N` looks back further than needed.
import { DAY_MS } from "../../lib/time.ts";
import { runCommand } from "./command.ts";

const MAX_DAYS = 30;

/** Returns the requested days; null = as far as needed; undefined = not understood. */
function daysOf(args: readonly string[]): number | null | undefined {
  if (args.length === 0) return null;
  const days = Number(args[1]);
  const isGood = args.length === 2 && args[0] === "--days" && Number.isInteger(days);
  return isGood && days >= 1 && days <= MAX_DAYS ? days : undefined;
}

const days = daysOf(process.argv.slice(2));
if (days === undefined) {
  process.stderr.write(`Usage: npm run reconcile [-- --days 1..${MAX_DAYS}]\n`);
  process.exit(2);
}

await runCommand(async ({ payment }) => {
  const since = days === null ? undefined : new Date(Date.now() - days * DAY_MS);
  // An operator wants it done now, even if some webhooks are still on their way.
  const report = await payment.reconcile({ settleMs: 0, since });
  const lines = [
    `events         ${report.eventsSeen} seen, ${report.eventsRecovered} recovered`,
    `payments       ${report.paymentsRepaired} repaired, ${report.checkoutsClosed} abandoned checkouts closed`,
    `invoices       ${report.invoicesRepaired} repaired`,
    `subscriptions  ${report.subscriptionsRepaired} brought up to date`,
    ...report.problems.map((problem) => `PROBLEM        ${problem}`),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  return report.problems.length === 0;
});
