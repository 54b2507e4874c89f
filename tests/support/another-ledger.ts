// Additional ledgers besides the one of the app under test.
import { createLedger, type LedgerDeps } from "../../server/ledger/ledger.ts";
import type { Ledger } from "../../server/ledger/ports.ts";
import type { TestApp } from "./server.ts";

/** Returns a ledger on the app's back end with some of its dependencies replaced. It is closed with the app. */
export function ledgerWith(app: TestApp, parts: Partial<LedgerDeps>): Ledger {
  const { backend, logger, clock } = app;
  const ledger = createLedger({ ...backend, logger, tracer: null, now: clock.now, ...parts });
  app.beforeClose(() => ledger.close());
  return ledger;
}

/** Returns a ledger as another process would have it: on its own connections. */
export async function anotherLedger(app: TestApp): Promise<Ledger> {
  const { database, locks, cache, pubsub } = await app.opened.openAnother();
  return ledgerWith(app, { database, locks, cache, pubsub });
}
