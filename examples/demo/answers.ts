// The demo's act about metered runs: an answer that continues after its connection is cut, and slides stopped half-way.
import { setTimeout as sleep } from "node:timers/promises";
import type { RunEvent } from "../../shared/src/ai.ts";
import type { Transcript } from "./transcript.ts";
import type { Client, DemoWorld, Person } from "./world.ts";

const QUESTION = {
  feature: "chat-pro" as const,
  messages: [{ role: "user" as const, content: "Why is the sky blue?" }],
  idempotencyKey: "sky",
};
const SLIDES = {
  feature: "ppt-generate" as const,
  topic: "Rivers",
  slideCount: 8,
  idempotencyKey: "rivers",
};
const SLIDES_PRICE = 10;
const READ_LIMIT_MS = 30_000;

/** Starts from any balance. Costs 5 credits for the answer, plus the share of 10 for the slides that were made. */
export async function answers(
  world: DemoWorld,
  transcript: Transcript,
  ada: Person,
): Promise<void> {
  transcript.act("She asks the model, and her train enters a tunnel");
  world.model.setSpeed(100);
  await answering(world, transcript, ada);
  world.model.setSpeed(40);
  await stopping(transcript, ada);
  world.model.reset();
}

async function answering(
  world: DemoWorld,
  { step }: Transcript,
  { client }: Person,
): Promise<void> {
  const { credits: before } = await client.credit.balance.query();
  const requests = world.model.requests;
  const { runId } = await step(
    "asks the strong model",
    () => client.ai.start.mutate(QUESTION),
    { feature: "chat-pro", heldCredits: 5, replayed: false },
    "5 credits are held",
  );
  const first = await step(
    "reads along until the connection is cut",
    () => readRun(client, { runId }, { leaveAfter: 5 }),
    { count: 5, end: null },
    ({ text }) => `"${text.replace(/\s+/g, " ").trim()} …"`,
  );
  await step(
    "asks again, not knowing how far it came",
    () => client.ai.start.mutate(QUESTION),
    { runId, replayed: true },
    "the same run",
  );
  const rest = await step(
    "goes on after the last word she saw",
    () => readRun(client, { runId, lastEventId: first.lastEventId }),
    { end: { outcome: "completed", charged: 5, balance: before - 5 } },
    ({ text }) => `the other ${text.length} characters, and what it cost: 5`,
  );
  await step(
    "reads it all from the beginning, in another tab",
    async () => {
      const { text } = await readRun(client, { runId });
      return { isWhole: text === first.text + rest.text, requests: world.model.requests };
    },
    { isWhole: true, requests: requests + 1 },
    "the same text; the model wrote it once",
  );
  await step(
    "looks at her balance",
    () => client.credit.balance.query(),
    { credits: before - 5, held: 0 },
    `${before} - 5 = ${before - 5}`,
  );
}

async function stopping({ step }: Transcript, { client }: Person): Promise<void> {
  const { credits: before } = await client.credit.balance.query();
  const { runId } = await step(
    "has 8 slides made",
    () => client.ai.start.mutate(SLIDES),
    { heldCredits: SLIDES_PRICE },
    "10 credits are held",
  );
  await readRun(client, { runId }, { leaveAfter: 2 });
  const stopped = await step(
    "stops after two of them",
    () => client.ai.stop.mutate({ runId }),
    { outcome: "stopped" },
    ({ charged, balance }) => `charged ${charged}, ${balance} left`,
  );
  await step(
    "counts what she was given",
    async () => {
      const { count, end } = await readRun(client, { runId });
      return { ...end, share: Math.ceil((SLIDES_PRICE * count) / SLIDES.slideCount), count };
    },
    { outcome: "stopped", charged: stopped.charged, share: stopped.charged },
    ({ count, share }) => `${count} of 8 slides: ${count}/8 of 10, rounded up, is ${share}`,
  );
  await step(
    "stops it once more",
    () => client.ai.stop.mutate({ runId }),
    { ...stopped, balance: before - stopped.charged },
    "the same answer; charged once",
  );
}

interface Reading {
  readonly text: string;
  /** Pieces of text, or slides. */
  readonly count: number;
  readonly lastEventId: string;
  /** The end event; null when the reader left before it. */
  readonly end: Extract<RunEvent, { type: "end" }> | null;
}

/** Reads a run to its end, or closes the connection after `leaveAfter` events. */
async function readRun(
  client: Client,
  input: { runId: string; lastEventId?: string },
  { leaveAfter = Number.POSITIVE_INFINITY } = {},
): Promise<Reading> {
  const seen: { id: string; data: RunEvent }[] = [];
  const problem: { error?: unknown } = {};
  const stream = client.ai.stream.subscribe(input, {
    onData: ({ id, data }) => {
      if (seen.length < leaveAfter) seen.push({ id, data });
    },
    onError: (error) => {
      problem.error = error;
    },
  });
  const isOver = () => seen.length >= leaveAfter || seen.at(-1)?.data.type === "end";
  const deadlineMs = Date.now() + READ_LIMIT_MS;
  while (!isOver() && problem.error === undefined && Date.now() < deadlineMs) await sleep(5);
  stream.unsubscribe();
  if (problem.error instanceof Error) throw problem.error;
  const events = seen.map(({ data }) => data);
  const end = events.at(-1);
  return {
    text: events.map((event) => (event.type === "text" ? event.text : "")).join(""),
    count: events.filter(({ type }) => type !== "end").length,
    lastEventId: seen.at(-1)?.id ?? "",
    end: end?.type === "end" ? end : null,
  };
}
