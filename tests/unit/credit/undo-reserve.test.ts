// A reserve that is SERVICE_UNAVAILABLE is undone if it may have been applied, and left alone if the ledger refused it.
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { type MeteredCallDeps, beginMeteredCall } from "../../../server/credit/metered-call.ts";
import type { Database } from "../../../server/database/ports.ts";
import { createLedger } from "../../../server/ledger/ledger.ts";
import type { Ledger } from "../../../server/ledger/ports.ts";
import type { WriterLimits } from "../../../server/ledger/writer/limits.ts";
import { silent } from "../../support/silent.ts";

const userId = "user";
const request = { userId, feature: "ppt-generate", clientSignal: undefined } as const;

/** Metered calls on a ledger whose database never answers, and what they submit to it. */
function hangingLedger(limits: Partial<WriterLimits> = {}) {
  const database: Partial<Database> = {
    maxConcurrentRawTransactions: 1,
    rawTransaction: () => new Promise(() => {}),
  };
  const ledger = createLedger({
    database: database as Database,
    locks: {
      acquire: async (keys) => ({ acquired: new Set(keys), release: async () => {} }),
    },
    cache: {} as Parameters<typeof createLedger>[0]["cache"],
    pubsub: { publish: async () => {}, subscribe: async () => async () => {} },
    ...{ logger: silent, tracer: null, now: Date.now, limits },
  });
  const submitted: string[] = [];
  const submit: Ledger["submit"] = (operation) => {
    submitted.push(operation.kind);
    return ledger.submit(operation);
  };
  const prices = { credits: { "ppt-generate": 10 }, version: "test" };
  const deps = {
    ...{ ledger: { ...ledger, submit }, logger: silent, prices },
    withPackageSuggestion: <T>(work: () => T) => work(),
  } as unknown as MeteredCallDeps;
  return { ledger, submitted, begin: () => beginMeteredCall(deps, request).catch(String) };
}

test("a reserve that a full queue refused is not submitted again", async () => {
  const { begin, submitted } = hangingLedger({ queueSize: 0 });
  expect(await begin()).toContain("Too many credit operations");
  await sleep(800);
  expect(submitted).toEqual(["reserve"]);
});

test("a reserve that a stopping server refused is not submitted again", async () => {
  const { begin, ledger, submitted } = hangingLedger();
  await ledger.close();
  expect(await begin()).toContain("stopping");
  await sleep(800);
  expect(submitted).toEqual(["reserve"]);
});

test("one that timed out is undone if it was sent, after a pause, and not if it was still queued", async () => {
  const { begin, submitted } = hangingLedger({ deadlineMs: 300 });
  const sent = begin();
  await sleep(10);
  // Waits for the first one, because it is the same user's.
  const queued = begin();
  expect(await Promise.all([sent, queued])).toEqual(Array(2).fill(expect.stringContaining("long")));
  expect(submitted).toEqual(["reserve", "reserve"]);
  await sleep(800);
  expect(submitted).toEqual(["reserve", "reserve", "reserve"]);
});
