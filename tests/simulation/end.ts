// The end of a run: the faults stop, what is on its way arrives, time and the jobs do their work; then the checks. And the
// moments of quiescence before: every event was told and taken, so nothing may be left to mend.
import type { ClientJournal } from "./client-journal.ts";
import { advanceTime, reconcile } from "./advance-time.ts";
import { checkKeys } from "./expected-keys.ts";
import { checkCredits } from "./expected-credits.ts";
import { JOBS } from "./server.ts";
import type { World } from "./world.ts";

const HOUR_MS = 3_600_000;
const MAX_ROUNDS = 8;

/** Brings the world to rest and compares it with what clients and Stripe know. */
export async function endOf(
  world: World,
  journal: ClientJournal,
  settleDelayed: () => void,
): Promise<void> {
  const { random, scheduler, faults } = world;
  faults.calm = true;
  world.note("--- calm ---");
  world.startAll();
  await scheduler.runWhile(() => world.busy);
  settleDelayed();
  // Deliveries are tried for three days, holds and checkouts last a day at most; some plans see another month or two.
  const days = random.chance(0.3) ? random.between(20, 70) : 4;
  await advanceTime(world, days * 24 * HOUR_MS);

  // Without reconcile as long as events alone may do.
  const others = JOBS.filter((name) => name !== "reconcile");
  for (let round = 0; round < MAX_ROUNDS && world.broken.length === 0; round += 1) {
    await runJobs(world, others);
    if (round > 0 && backlogOf(world) === 0) break;
    // The longest pause before an event is tried again.
    await advanceTime(world, 8 * HOUR_MS);
  }
  if (backlogOf(world) > 0) world.broke(`${backlogOf(world)} events are still not settled`);
  await scheduler.runUntil(scheduler.nowMs + HOUR_MS / 6);
  await scheduler.runWhile(() => world.busy);
  checkWhenQuiescent(world);
  await runJobs(world, ["reconcile"]);
  await reconcile(world);
  await runJobs(world, others);
  await isAtRest(world);
  if (world.broken.length > 0) return;
  for (const sentence of [...checkKeys(world, journal), ...checkCredits(world)])
    world.broke(sentence);
}

async function runJobs(world: World, names: readonly (typeof JOBS)[number][]): Promise<void> {
  for (const name of names) {
    world.launch(async () => {
      const answer = await world.ask(`job ${name}`, ({ jobs }) => jobs.runNow(name));
      if (answer.kind === "done" && answer.value?.ok === false)
        world.broke(`the job ${name} failed in calm weather: ${JSON.stringify(answer.value)}`);
    });
    await world.scheduler.runWhile(() => world.busy);
  }
}

/** Everything is known: one more reconcile finds nothing to mend. */
async function isAtRest(world: World): Promise<void> {
  world.launch(async () => {
    const answer = await world.ask("reconcile once more", ({ payment }) => payment.reconcile());
    if (answer.kind !== "done") return world.broke("reconcile fails in calm weather");
    const { eventsSeen: _seen, caughtUp, problems, ...repairs } = answer.value;
    const mended = Object.values(repairs).reduce((sum, count) => sum + count, 0);
    if (mended > 0 || problems.length > 0 || !caughtUp)
      world.broke(`a second reconcile still mends: ${JSON.stringify(answer.value)}`);
  });
  await world.scheduler.runWhile(() => world.busy);
}

/** Events that are stored and not settled. */
function backlogOf({ store }: World): number {
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
