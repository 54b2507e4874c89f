// The run over many seeds: how many, what is told meanwhile, and what is told of a seed that broke a promise.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Run, runSeed } from "./run.ts";
import { openStore, type Store } from "./store.ts";

const IS_FULL = process.env["FULL"] === "1";
/** One seed alone, its whole trace printed. */
const ONLY = process.env["SEED"] === undefined ? null : Number(process.env["SEED"]);
const FIRST = Number(process.env["FROM"] ?? 1);
const COUNT = Number(process.env["SEEDS"] ?? (IS_FULL ? 10_000 : 100));
const TIMEOUT_MS = IS_FULL ? 4 * 3_600_000 : 600_000;
/** More of them rarely tell more. */
const MAX_BROKEN = 3;
const LAST_LINES = 60;

/** What the weather and the steps must have brought about, or the proof is empty: lines of the trace, by their look. */
const SIGNS = {
  "processes died": / DIES$/,
  "commits whose answer was lost": /tx committed, answer lost$/,
  "commits lost before they took effect": /tx commit: lost before$/,
  "write conflicts": /: conflict$/,
  "statements on a lost connection": /: away$/,
  "requests Stripe refused": /stripe .*: (429|409|500|502|html)/,
  "answers of Stripe cut off": /stripe .*: (cut-after|half|500-after)/,
  "plans switched in a portal": /in the portal: switch/,
  "plans and quantities moved by a merchant": / is moved /,
  "plans switched there and back": / switches to price_/,
  "credit notes": /at Stripe: credit note of/,
  "balances given": / balance -?\d+$/,
  "ends set by a merchant": / is to end in \d+ days$/,
  "waiting changes undone": / cancelChanges the plan/,
  "events of schedules": / subscription_schedule\./,
  "events lost": / is lost$/,
  "events taken": /^.* = \{kind=done value=\{outcome=processed/,
} as const;

/** Entries of the ledger that all seeds together must have made. */
const ENTRIES = [
  "SIGNUP",
  "PURCHASE",
  "SUBSCRIPTION",
  "USAGE",
  "REFUND",
  "DISPUTE",
  "DISPUTE_REVERSAL",
  "EXPIRY",
  "ADMIN_ADJUST",
] as const;

/** Tests every second seed: the odd or the even ones, so that two processes share the work. */
export function testSeeds(parity: "odd" | "even"): void {
  const isMine = (seed: number): boolean => (seed % 2 === 1) === (parity === "odd");
  const all = ONLY === null ? Array.from({ length: COUNT }, (_, index) => FIRST + index) : [ONLY];
  const seeds = all.filter(isMine);

  describe.skipIf(seeds.length === 0)(`${parity} seeds of the simulation`, () => {
    let store: Store;
    beforeAll(async () => {
      store = await openStore();
    });
    afterAll(() => store.close());

    test("break no promise", { timeout: TIMEOUT_MS }, async () => {
      const startedAt = Date.now();
      const broken: Run[] = [];
      const signs = new Map<string, number>();
      const entries = new Map<string, number>();
      let happened = 0;
      const say = (text: string): void => {
        const seconds = Math.round((Date.now() - startedAt) / 1000);
        process.stdout.write(`simulation, ${parity} seeds: ${text} (${seconds} s)\n`);
      };
      for (const [index, seed] of seeds.entries()) {
        const run = await runSeed(seed, store, ONLY !== null);
        happened += run.happened;
        for (const [sign, look] of Object.entries(SIGNS))
          signs.set(
            sign,
            (signs.get(sign) ?? 0) + run.trace.lines().filter((line) => look.test(line)).length,
          );
        for (const [type, count] of run.entries)
          entries.set(type, (entries.get(type) ?? 0) + count);
        if (ONLY !== null) process.stdout.write(`${run.trace.lines().join("\n")}\n`);
        if (run.broken.length > 0) {
          broken.push(run);
          process.stdout.write(reportOf(run));
          if (broken.length >= MAX_BROKEN) break;
          // What the broken run left behind is not the next one's.
          await store.close();
          store = await openStore();
        }
        if (IS_FULL && (index + 1) % 100 === 0)
          say(`${index + 1} of ${seeds.length}, ${broken.length} broken`);
      }
      say(`${seeds.length} seeds, ${happened} happenings, ${broken.length} broken`);
      for (const [sign, count] of [...signs, ...entries])
        process.stdout.write(`  ${count} ${sign}\n`);
      expect(
        broken.map(({ seed }) => seed),
        "seeds that broke a promise",
      ).toEqual([]);
      if (ONLY !== null) return;
      for (const sign of Object.keys(SIGNS)) expect(signs.get(sign), sign).toBeGreaterThan(0);
      for (const type of ENTRIES) expect(entries.get(type), type).toBeGreaterThan(0);
    });
  });
}

function reportOf({ seed, broken, trace }: Run): string {
  return [
    `seed ${seed} broke a promise:`,
    ...broken.slice(0, 5).map((sentence) => `  ${sentence}`),
    `its last ${LAST_LINES} lines (all of them: SEED=${seed} npm test -- simulation):`,
    ...trace.lines(LAST_LINES),
    "",
  ].join("\n");
}
