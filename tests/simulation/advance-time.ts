// The passing of time: gaps between steps, days and months, and the reconcile that comes round meanwhile.
import type { World } from "./world.ts";

const DAY_MS = 86_400_000;
const TRIES = 5;

/** Mostly at once or nearly so: what overlaps is what breaks. */
export function gapMs({ random }: World): number {
  return random.weighted([
    [() => 0, 4] as const,
    [() => random.between(0, 30), 8] as const,
    [() => random.between(0, 1_500), 5] as const,
    [() => random.between(0, 120_000), 2] as const,
  ])();
}

/**
 * Time passes, a day at a time. While events are overdue, the hourly reconcile comes round each day, in calm weather:
 * that is the assumption under which nothing is lost.
 */
export async function advanceTime(world: World, ms: number): Promise<void> {
  const { scheduler, stripe, faults } = world;
  const untilMs = scheduler.nowMs + ms;
  world.note(`${Math.round(ms / 360_000) / 10} hours pass`);
  while (scheduler.nowMs < untilMs && world.broken.length === 0) {
    await scheduler.runUntil(Math.min(untilMs, scheduler.nowMs + DAY_MS));
    stripe.control.tick();
    // What fell due is told at once.
    await scheduler.runUntil(scheduler.nowMs + 2_000);
    if (!world.network.behind) continue;
    const wasCalm = faults.calm;
    faults.calm = true;
    await scheduler.runWhile(() => world.busy);
    await reconcile(world);
    faults.calm = wasCalm;
  }
}

/** Reconciles until it goes through, in calm weather. */
export async function reconcile(world: World): Promise<void> {
  const { scheduler } = world;
  let problems: readonly string[] = ["no server answered"];
  for (let tries = 0; tries < TRIES; tries += 1) {
    world.startAll();
    const startedMs = scheduler.nowMs;
    world.launch(async () => {
      const answer = await world.ask("reconcile", ({ payment }) => payment.reconcile());
      if (answer.kind === "done") ({ problems } = answer.value);
    });
    await scheduler.runWhile(() => world.busy);
    if (problems.length > 0) continue;
    world.network.caughtUp(startedMs);
    return;
  }
  world.broke(`reconcile has problems in calm weather: ${problems.join("; ")}`);
}
