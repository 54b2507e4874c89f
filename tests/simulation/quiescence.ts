// The moments of quiescence in the middle of a run: every event was told and taken, so nothing may be left to mend.
import { checkCredits } from "./expected-credits.ts";
import type { World } from "./world.ts";

/** Events that are stored and not settled. */
export function backlogOf({ store }: World): number {
  const sql =
    "SELECT COUNT(*) AS open FROM stripe_events WHERE status NOT IN ('PROCESSED', 'IGNORED')";
  return store.rows<{ open: number }>(sql)[0]?.open ?? 0;
}

/**
 * Where nobody waits for an answer and every event was taken by a server, our rows are what Stripe's are: later events
 * and reconcile would mend, and so hide, what an overtaken answer broke.
 */
export function checkWhenQuiescent(world: World): void {
  if (world.busy || world.network.untold > 0 || backlogOf(world) > 0) return;
  world.note("quiet: every event was taken");
  for (const sentence of checkCredits(world, { monthsGranted: false }))
    world.broke(`after the events: ${sentence}`);
}
