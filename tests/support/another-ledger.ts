// Ledgers beside those of the app under test.
import { createLedger, type LedgerDeps } from "../../server/ledger/ledger.ts";
import type { Ledger } from "../../server/ledger/ports.ts";
import type { TestApp } from "./server.ts";

/** A ledger on the app's back end, with some of its parts replaced. Closed with the app. */
export function ledgerWith(app: TestApp, parts: Partial<LedgerDeps>): Ledger {
  const { backend, logger, clock } = app;
  const ledger = createLedger({ ...backend, logger, tracer: null, now: clock.now, ...parts });
  app.beforeClose(() => ledger.close());
  return ledger;
}

/** The ledger of another process: on connections of its own. */
export async function anotherLedger(app: TestApp): Promise<Ledger> {
  const { database, locks, cache, pubsub } = await app.opened.openAnother();
  return ledgerWith(app, { database, locks, cache, pubsub });
}
