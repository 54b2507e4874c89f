// `npm run stripe:sync`: creates or updates products and prices at Stripe from the catalog. Safe to repeat.
import { runCommand } from "./command.ts";

await runCommand(async ({ payment }) => {
  const lines = await payment.syncCatalog();
  process.stdout.write(`${lines.join("\n")}\n`);
  return true;
});
