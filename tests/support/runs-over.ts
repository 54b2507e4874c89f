// Metered runs on the store of a suite's app, in which single calls can be made to fail, wait or lose their answer.
import { randomUUID } from "node:crypto";
import { createModelAdapter } from "../../server/adapters/model.ts";
import { type AiService, createAiService } from "../../server/ai/ai.service.ts";
import type { RunTimings, TrackedRunEvent } from "../../server/ai/ai.types.ts";
import type { RunStore } from "../../server/ai/ports.ts";
import { createRunStore } from "../../server/ai/runs.store.ts";
import type { TestApp } from "./server.ts";
import { silent } from "./silent.ts";

const TIMINGS = { keepOutputMs: 1_000, leaseMs: 10_000, tickMs: 100 };

/** Replacements for some calls of a store, built from the real one. */
export type Faults = (real: RunStore) => Partial<RunStore>;

/** Returns a store for the app's runs; `now` is its clock. */
export function runStoreOf(app: TestApp, now: () => number = Date.now): RunStore {
  return createRunStore({ database: app.backend.database, ledger: app.ledger, now });
}

/** Returns an additional instance's runs with some calls of their store replaced. Closed with the app. */
export function runsOver(
  app: TestApp,
  faults: Faults = () => ({}),
  timings: Partial<RunTimings> = {},
): AiService {
  const real = runStoreOf(app);
  const runs = createAiService({
    store: { ...real, ...faults(real) },
    output: app.backend.runOutput,
    pubsub: app.backend.pubsub,
    model: createModelAdapter(app.config.ai ?? { baseUrl: "", apiKey: null }),
    models: { "chat-pro": "stand-in-pro", "ppt-generate": "stand-in-pro" },
    prices: { credits: app.config.credits.costs, version: "test" },
    withPackageSuggestion: (work) => work(),
    logger: silent,
    now: Date.now,
    timings: { ...TIMINGS, ...timings },
  });
  app.beforeClose(() => runs.close());
  return runs;
}

/** The input to start a chat run with. */
export function chatInput(idempotencyKey: string = randomUUID()) {
  return {
    feature: "chat-pro" as const,
    messages: [{ role: "user" as const, content: "Go on" }],
    idempotencyKey,
  };
}

/** Collects everything a stream yields until it ends. */
export async function eventsOf(stream: AsyncIterable<TrackedRunEvent>) {
  const events: TrackedRunEvent["event"][] = [];
  for await (const { event } of stream) events.push(event);
  return {
    events,
    text: events.map((event) => (event.type === "text" ? event.text : "")).join(""),
    end: events.at(-1),
  };
}
