// A seed can be walked again: the same happenings, answers and times, whatever ran before it.
import { afterAll, beforeAll, expect, test } from "vitest";
import { runSeed } from "./run.ts";
import { openStore, type Store } from "./store.ts";

const SEEDS = Array.from({ length: process.env["FULL"] === "1" ? 200 : 4 }, (_, n) => 20_001 + n);

let store: Store;
beforeAll(async () => {
  store = await openStore();
});
afterAll(() => store.close());

test("the same seed gives the same trace", { timeout: 900_000 }, async () => {
  const first = new Map<number, { hash: string; lines: readonly string[] }>();
  for (const seed of SEEDS) {
    const { trace } = await runSeed(seed, store);
    first.set(seed, { hash: trace.hash(), lines: trace.lines() });
  }
  // Another order, another database file, and looked at after every commit: none of it may show.
  await store.close();
  store = await openStore();
  for (const seed of [...SEEDS].reverse()) {
    const { trace } = await runSeed(seed, store, true);
    const known = first.get(seed);
    const differs = trace.lines().findIndex((line, at) => line !== known?.lines[at]);
    expect(trace.lines()[differs], `seed ${seed}, line ${differs}`).toBe(known?.lines[differs]);
    expect(trace.hash(), `seed ${seed}`).toBe(known?.hash);
  }
  expect(new Set([...first.values()].map(({ hash }) => hash)).size).toBe(SEEDS.length);
});
