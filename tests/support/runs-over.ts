// Metered runs over the store of a suite's app, single calls of which are made to fail, to wait or to lose their answer.
import { randomUUID } from "node:crypto";
import { createModelAdapter } from "../../server/adapters/model.ts";
import { type AiService, createAiService } from "../../server/ai/ai.service.ts";
import type { RunTimings, TrackedRunEvent } from "../../server/ai/ai.types.ts";
import type { RunStore } from "../../server/ai/ports.ts";
import { createRunStore } from "../../server/ai/runs.store.ts";
import type { TestApp } from "./server.ts";
import { silent } from "./silent.ts";

const TIMINGS = { keepOutputMs: 1_000, leaseMs: 10_000, tickMs: 100 };

/** Some calls of a store, made from the real one. */
export type Faults = (real: RunStore) => Partial<RunStore>;

/** The store of the app's runs, by a clock of its own. */
export function runStoreOf(app: TestApp, now: () => number = Date.now): RunStore {
  return createRunStore({ database: app.backend.database, ledger: app.ledger, now });
}

/** One instance's runs as the app makes them, with some calls of their store replaced. Closed with the app. */
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

/** A chat to start a run with. */
export function chatInput(idempotencyKey: string = randomUUID()) {
  return {
    feature: "chat-pro" as const,
    messages: [{ role: "user" as const, content: "Go on" }],
    idempotencyKey,
  };
}

/** What a stream brings until it ends. */
export async function eventsOf(stream: AsyncIterable<TrackedRunEvent>) {
  const events: TrackedRunEvent["event"][] = [];
  for await (const { event } of stream) events.push(event);
  return {
    events,
    text: events.map((event) => (event.type === "text" ? event.text : "")).join(""),
    end: events.at(-1),
  };
}
