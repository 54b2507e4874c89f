// One run: a seed in, a verdict and a trace out.
import { createClientJournal } from "./client-journal.ts";
import { createWatch } from "./checks.ts";
import { checkWhenQuiescent, endOf } from "./end.ts";
import { spread } from "./faults.ts";
import { createLedgerSteps } from "./ledger-steps.ts";
import { createMerchantSteps } from "./merchant-steps.ts";
import { createOutsideSteps } from "./outside-steps.ts";
import { gapMs, advanceTime } from "./advance-time.ts";
import { createPaymentSteps } from "./payment-steps.ts";
import { createRandom } from "../support/seeded-random.ts";
import { createScheduler } from "./scheduler.ts";
import type { Store } from "./store.ts";
import { installEnvironment } from "./environment.ts";
import { createTrace, type Trace } from "./trace.ts";
import { createWorld, wordsOf, type World } from "./world.ts";
import { welcomeGrant } from "../support/operations.ts";

/** How a run ended. */
export interface Run {
  readonly seed: number;
  /** Empty: every promise held. */
  readonly broken: readonly string[];
  readonly trace: Trace;
  /** Things that happened: statements, requests, answers, timers. */
  readonly happened: number;
  /** How many entries of each type the ledger has at the end. */
  readonly entries: ReadonlyMap<string, number>;
}

// The last day of a long month, so that months have something to clamp.
const START_MS = Date.UTC(2027, 0, 31, 9, 30);

/** Runs one seed on `store`, which is emptied first. Looks at every commit, not only between steps, when `closely`. */
export async function runSeed(seed: number, store: Store, closely = false): Promise<Run> {
  await store.empty();
  const random = createRandom(seed);
  const trace = createTrace(START_MS);
  const watch = createWatch(store);
  let world: World | null = null;
  let version = -1;
  const look = (): void => {
    if (world === null || world.broken.length > 0 || store.version() === version) return;
    version = store.version();
    for (const sentence of watch.broken()) world.broke(sentence);
  };
  const scheduler = createScheduler(START_MS, () => closely && look());
  const uninstall = installEnvironment(scheduler, random);
  try {
    world = createWorld({ random, scheduler, trace, store });
    await live(world, look);
  } catch (error) {
    if (world === null) throw error;
    world.broke(`the run stumbled: ${wordsOf(error)}`);
  } finally {
    if (world !== null) await putAway(world);
    uninstall();
  }
  const entries = new Map(
    store
      .rows<{ type: string; n: number }>(
        "SELECT type, COUNT(*) AS n FROM credit_logs GROUP BY type",
      )
      .map(({ type, n }) => [type, n]),
  );
  return { seed, broken: world.broken, trace, happened: scheduler.happened, entries };
}

/** The days of a seed: users come, storms and steps, the calm at the end, the checks. */
async function live(world: World, look: () => void): Promise<void> {
  const { random, scheduler, faults } = world;
  const journal = createClientJournal();
  const outside = createOutsideSteps(world);
  const acts = weighed(world, {
    ...createLedgerSteps(world, journal),
    ...createPaymentSteps(world, journal, outside.paySession),
    ...createMerchantSteps(world, outside.atStripe),
    ...outside,
  });

  faults.calm = true;
  await signUp(world);
  faults.calm = false;
  world.note(`weather: ${faults.words}`);

  const wanted = random.between(30, 60);
  let steps = 0;
  while (steps < wanted && world.broken.length === 0) {
    steps += 1;
    const act = random.weighted(acts);
    if (act === null) await advanceTime(world, outside.passMs());
    else {
      // The same thing twice or thrice in a row: what meets itself breaks first.
      for (let more = random.weighted(MORE); more >= 0; more -= 1) {
        world.launch(async () => act());
        const ms = more > 0 ? spread(random, 1, 4_000) : gapMs(world);
        await scheduler.runUntil(scheduler.nowMs + ms);
      }
    }
    look();
    checkWhenQuiescent(world);
  }
  if (world.broken.length === 0) await endOf(world, journal, outside.settleDelayed);
  look();
}

const MORE = [
  [0, 8],
  [1, 2],
  [2, 1],
] as const;

type Act = () => void | Promise<void>;

const WEIGHTS = {
  spend: 16,
  reserve: 7,
  settle: 5,
  release: 2,
  adjust: 4,
  look: 4,
  shop: 8,
  shopPlan: 8,
  buy: 2,
  subscribe: 1,
  pay: 3,
  confirm: 4,
  changePlan: 6,
  refund: 6,
  cancel: 1,
  resume: 1,
  cancelChange: 1,
  end: 0.5,
  portalSwitch: 1.5,
  portalQuantity: 0.7,
  portalCancel: 0.3,
  move: 1.5,
  quantity: 1,
  toAndFro: 1,
  creditNote: 2,
  lowerOpen: 0.5,
  voidNote: 0.5,
  balance: 1,
  cancelAt: 2,
  cancelNow: 0.3,
  settleDelayed: 1,
  expire: 0.5,
  bankRefund: 5,
  settleRefund: 2,
  dispute: 3,
  decideDispute: 3,
  card: 1,
  cancelThere: 1,
  job: 5,
  crash: 1.5,
  outage: 0.7,
} as const;

/** Each seed likes some steps better than others; null: time passes. */
function weighed(
  { random }: World,
  steps: Readonly<Record<keyof typeof WEIGHTS, Act>>,
): (readonly [Act | null, number])[] {
  const acts = Object.entries(WEIGHTS).map(([name, weight]) => {
    const act = steps[name as keyof typeof WEIGHTS];
    return [act, weight * random.pick([0.1, 1, 1, 4])] as const;
  });
  return [...acts, [null, random.pick([1, 3, 8])] as const];
}

async function signUp(world: World): Promise<void> {
  for (const userId of world.userIds) {
    const credits = world.random.between(20, 150);
    const at = new Date(world.scheduler.nowMs);
    world.launch(async () => {
      await world.ask(`${userId} signs up with ${credits}`, async ({ ledger }) => {
        const { models } = world.store.open.database;
        const times = { createdAt: at, updatedAt: at };
        await models.user.create({
          data: { id: userId, email: `${userId}@example.com`, ...times },
        });
        await ledger.submit(welcomeGrant(userId, credits));
      });
    });
  }
  await world.scheduler.runWhile(() => world.busy);
}

/** Ends what still runs, so that nothing of this seed touches the next one's rows. */
async function putAway(world: World): Promise<void> {
  const { scheduler, faults } = world;
  faults.calm = true;
  world.kill(0);
  world.kill(1);
  // Transactions of the dead roll back now.
  await scheduler.runUntil(scheduler.nowMs);
}
