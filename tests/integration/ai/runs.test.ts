// A metered run from start to end: produced once, readable anywhere, charged by the documented rule.
import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { FEATURES } from "../../../shared/src/features.ts";
import { available } from "../../support/backend.ts";
import type { Person } from "../../support/people.ts";
import { readRun } from "../../support/read-run.ts";
import { useTestApp } from "../../support/use-app.ts";

const ask = (content: string) => ({
  feature: "chat-pro",
  messages: [{ role: "user", content }],
  idempotencyKey: randomUUID(),
});
const deck = {
  title: "Old",
  slides: [
    { title: "One", bullets: ["a", "b"] },
    { title: "Two", bullets: [], notes: "say it" },
  ],
};

describe("metered runs", () => {
  const world = useTestApp({ available });
  let person: Person;
  beforeEach(async () => {
    world.sandbox.model.control.reset();
    world.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
    person = await world.person();
  });

  const bearer = () => ({ authorization: `Bearer ${person.accessToken}` });
  const start = async (input: unknown) => {
    const answer = await world.call("ai.start", "mutation", input, bearer());
    const data = answer.data as { runId: string; heldCredits: number; replayed: boolean };
    return { ...answer, ...data };
  };
  const read = (runId: string, lastEventId?: string, leaveAfter?: number) =>
    readRun(
      world.url,
      person.accessToken,
      { runId, ...(lastEventId === undefined ? {} : { lastEventId }) },
      leaveAfter,
    );
  const balance = async () => {
    const answer = await world.call("credit.balance", "query", undefined, bearer());
    return answer.data as { credits: number; held: number; available: number };
  };
  const stop = (runId: string) => world.call("ai.stop", "mutation", { runId }, bearer());
  const view = (runId: string) => world.call("ai.run", "query", { runId }, bearer());

  it("lists the configured models", async () => {
    const answer = await world.call("ai.models", "query", undefined, {});
    expect(answer.data).toEqual({
      models: FEATURES.map((feature) => ({
        feature,
        model: feature === "chat-flash" ? "stand-in-flash" : "stand-in-pro",
      })),
    });
  });

  it("streams a whole answer and charges the price", async () => {
    const { runId, heldCredits, replayed } = await start(ask("Why is the sky blue?"));
    expect([heldCredits, replayed]).toEqual([5, false]);
    const { text, end } = await read(runId);
    expect(text).toContain("Why is the sky blue?");
    expect(text).toContain("stand-in");
    expect(end).toEqual({ type: "end", outcome: "completed", charged: 5, balance: 95 });
    expect(await balance()).toMatchObject({ credits: 95, held: 0 });
    expect((await view(runId)).data).toMatchObject({
      runId,
      feature: "chat-pro",
      state: "completed",
      heldCredits: 5,
      charged: 5,
      code: null,
    });
    const usage = await world.models.usageLog.findMany({
      where: { userId: person.userId },
    });
    expect(usage).toHaveLength(1);
    expect(usage[0]).toMatchObject({ model: "stand-in-pro", credits: 5, success: true });
    expect(usage[0]?.inputTokens).toBeGreaterThan(0);
    expect(usage[0]?.outputTokens).toBeGreaterThan(0);
  });

  it("streams a deck slide by slide", async () => {
    const { runId } = await start({
      feature: "ppt-generate",
      topic: "Rivers",
      slideCount: 3,
      idempotencyKey: randomUUID(),
    });
    const { events, end } = await read(runId);
    const slides = events.flatMap(({ event }) => (event.type === "slide" ? [event] : []));
    expect(slides.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(slides[0]?.slide.title).toContain("Rivers");
    expect(end).toMatchObject({ outcome: "completed", charged: 10 });
  });

  it("returns the edited deck", async () => {
    const { runId } = await start({
      feature: "ppt-edit",
      deck,
      instruction: "Shorter, please",
      idempotencyKey: randomUUID(),
    });
    const { events, end } = await read(runId);
    expect(events.map(({ event }) => event.type)).toEqual(["slide", "slide", "end"]);
    expect(end).toMatchObject({ outcome: "completed", charged: 5 });
  });

  it("gives the same run for the same key and input, and refuses other input", async () => {
    const input = ask("Once");
    const first = await start(input);
    const again = await start(input);
    expect([again.runId, again.replayed]).toEqual([first.runId, true]);
    expect((await start({ ...input, feature: "chat-flash" })).code).toBe("IDEMPOTENCY_CONFLICT");
    await read(first.runId);
    expect((await start(input)).replayed).toBe(true);
    expect(world.sandbox.model.control.requests).toBeGreaterThan(0);
    expect((await balance()).credits).toBe(95);
  });

  it("starts one run when one key is used 20 times at once", async () => {
    const before = world.sandbox.model.control.requests;
    const input = ask("Twenty at once");
    const answers = await Promise.all(Array.from({ length: 20 }, () => start(input)));
    expect(new Set(answers.map(({ runId }) => runId)).size).toBe(1);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    const { end } = await read(answers[0]?.runId ?? "");
    expect(end).toMatchObject({ charged: 5, balance: 95 });
    expect(world.sandbox.model.control.requests - before).toBe(1);
  });

  it("goes on after the last event seen, and brings nothing twice", async () => {
    world.sandbox.model.control.setSpeed(400);
    const { runId } = await start(ask("Resume me"));
    const first = await read(runId, undefined, 3);
    const rest = await read(runId, first.events.at(-1)?.id);
    const whole = await read(runId);
    expect(first.text + rest.text).toBe(whole.text);
    expect(new Set(whole.events.map(({ id }) => id)).size).toBe(whole.events.length);
    expect(rest.end).toMatchObject({ outcome: "completed" });
    const afterEnd = await read(runId, whole.events.at(-1)?.id);
    expect(afterEnd.events).toEqual([]);
  });

  it("refuses an event id that is not of this run", async () => {
    world.sandbox.model.control.setSpeed(400);
    const { runId } = await start(ask("Ids"));
    expect((await read(runId, `${runId}.end`)).code).toBe("VALIDATION_FAILED");
    const { events } = await read(runId);
    // The end is the last event, and its id has no number.
    for (const seq of ["0", "99999", "x", events.length])
      expect((await read(runId, `${runId}.${seq}`)).code, `${seq}`).toBe("VALIDATION_FAILED");
    for (const id of ["1", "run_other.1"])
      expect((await read(runId, id)).code, id).toBe("VALIDATION_FAILED");
    expect((await read(runId, `${runId}.${events.length - 1}`)).events).toHaveLength(1);
  });

  it("stops on request, charges the share produced, and is safe to repeat", async () => {
    world.sandbox.model.control.setSpeed(50);
    const { runId } = await start(ask("A long story"));
    await read(runId, undefined, 2);
    const stopped = await stop(runId);
    expect(stopped.data).toEqual({ outcome: "stopped", charged: 1, balance: 99 });
    expect((await stop(runId)).data).toEqual(stopped.data);
    const { end } = await read(runId);
    expect(end).toEqual({ type: "end", outcome: "stopped", charged: 1, balance: 99 });
    expect((await balance()).held).toBe(0);
  });

  it("charges nothing when stopped before the first output", async () => {
    world.sandbox.model.control.misbehave({ fault: "hang" });
    const { runId } = await start(ask("Nothing yet"));
    expect((await stop(runId)).data).toEqual({ outcome: "stopped", charged: 0, balance: 100 });
  });

  it.each(["rateLimit", "error", "unauthorized", "html"] as const)(
    "charges nothing when the provider answers with %s",
    async (fault) => {
      world.sandbox.model.control.misbehave({ fault });
      const { runId } = await start(ask("Fail early"));
      expect((await read(runId)).end).toEqual({
        type: "end",
        outcome: "failed",
        charged: 0,
        balance: 100,
        code: "AI_PROVIDER_ERROR",
      });
      expect((await view(runId)).data).toMatchObject({
        state: "failed",
        code: "AI_PROVIDER_ERROR",
      });
    },
  );

  it.each(["cut", "breakOff", "malformed", "errorInStream", "contentFilter"] as const)(
    "charges the share produced when the answer is broken by %s",
    async (fault) => {
      world.sandbox.model.control.setSpeed(1_000);
      world.sandbox.model.control.misbehave({ fault, afterChunks: 40 });
      const { runId } = await start(ask("Fail late"));
      const { end, text } = await read(runId);
      expect(text.length).toBeGreaterThan(100);
      expect(end).toMatchObject({ outcome: "failed", charged: 1, code: "AI_PROVIDER_ERROR" });
    },
  );

  it("falls back to plain prompts where the provider knows no response formats", async () => {
    world.sandbox.model.control.misbehave({ fault: "noResponseFormat", times: 2 });
    const { runId } = await start({
      feature: "ppt-generate",
      topic: "Old providers",
      slideCount: 2,
      idempotencyKey: randomUUID(),
    });
    expect((await read(runId)).end).toMatchObject({ outcome: "completed" });
  });

  it("fails a deck that the provider cut short, and charges the slides that are there", async () => {
    world.sandbox.model.control.misbehave({ fault: "length", afterChunks: 130 });
    const { runId } = await start({
      feature: "ppt-generate",
      topic: "Cut short",
      slideCount: 10,
      idempotencyKey: randomUUID(),
    });
    const { events, end } = await read(runId);
    const slides = events.filter(({ event }) => event.type === "slide").length;
    expect(slides).toBeGreaterThan(0);
    expect(slides).toBeLessThan(10);
    expect(end).toMatchObject({ outcome: "failed", charged: slides, code: "AI_PROVIDER_ERROR" });
  });

  it("fails a deck that is none, and charges nothing", async () => {
    world.sandbox.model.control.misbehave({ fault: "notJson" });
    const { runId } = await start({
      feature: "ppt-generate",
      topic: "Prose",
      idempotencyKey: randomUUID(),
    });
    expect((await read(runId)).end).toMatchObject({
      outcome: "failed",
      charged: 0,
      code: "AI_PROVIDER_ERROR",
    });
  });

  it("refuses the eleventh run at once", async () => {
    world.sandbox.model.control.misbehave({ fault: "hang", times: 10 });
    const started = await Promise.all(Array.from({ length: 10 }, () => start(ask("One of ten"))));
    expect(started.map(({ code }) => code)).toEqual(Array(10).fill(null));
    expect((await start(ask("Eleventh"))).code).toBe("RATE_LIMITED");
    await Promise.all(started.map(({ runId }) => stop(runId)));
    const next = await start(ask("Now it may"));
    expect(next.code).toBeNull();
    await read(next.runId);
  });

  it("refuses whoever is short, before any work", async () => {
    const before = world.sandbox.model.control.requests;
    for (let spent = 0; spent < 100; spent += 10)
      await world.call(
        "credit.spend",
        "mutation",
        { feature: "ppt-generate", idempotencyKey: randomUUID() },
        bearer(),
      );
    expect((await start(ask("No credits"))).code).toBe("INSUFFICIENT_CREDITS");
    expect(world.sandbox.model.control.requests).toBe(before);
  });

  it("hides other people's runs", async () => {
    const { runId } = await start(ask("Mine"));
    const other = await world.person();
    const theirs = { authorization: `Bearer ${other.accessToken}` };
    expect((await world.call("ai.run", "query", { runId }, theirs)).code).toBe("NOT_FOUND");
    expect((await world.call("ai.stop", "mutation", { runId }, theirs)).code).toBe("NOT_FOUND");
    expect((await readRun(world.url, other.accessToken, { runId })).code).toBe("NOT_FOUND");
  });

  const chat = (messages: unknown) => ({
    feature: "chat-flash",
    messages,
    idempotencyKey: "bad",
  });
  const slides = (count: number) => Array.from({ length: count }, () => deck.slides[0]);
  it.each([
    ["no messages", chat([])],
    ["51 messages", chat(Array.from({ length: 51 }, () => ({ role: "user", content: "x" })))],
    ["an empty message", chat([{ role: "user", content: "" }])],
    ["a blank message", chat([{ role: "user", content: " \n\t" }])],
    ["40,000 characters", chat([{ role: "user", content: "x".repeat(40_000) }])],
    [
      "32,001 characters together",
      chat([
        { role: "user", content: "x".repeat(16_000) },
        { role: "assistant", content: "y".repeat(16_001) },
      ]),
    ],
    ["half a character", chat([{ role: "user", content: "x\ud800y" }])],
    ["a system message", chat([{ role: "system", content: "Obey" }])],
    ["an unknown field", { ...chat([{ role: "user", content: "x" }]), temperature: 1 }],
    ["mixed fields", { ...chat([{ role: "user", content: "x" }]), topic: "y" }],
    ["an unknown feature", { feature: "constructor", messages: [], idempotencyKey: "bad" }],
    ["no topic", { feature: "ppt-generate", topic: " ", idempotencyKey: "bad" }],
    ["31 slides", { feature: "ppt-generate", topic: "x", slideCount: 31, idempotencyKey: "bad" }],
    [
      "a deck of 1,000 slides",
      {
        feature: "ppt-edit",
        deck: { title: "x", slides: slides(1_000) },
        instruction: "y",
        idempotencyKey: "bad",
      },
    ],
    [
      "a deck that is none",
      { feature: "ppt-edit", deck: "slides", instruction: "y", idempotencyKey: "bad" },
    ],
    [
      "a deck over 100 kB",
      {
        feature: "ppt-edit",
        deck: {
          title: "x",
          slides: slides(30).map((one) => ({ ...one, notes: "n".repeat(4_000) })),
        },
        instruction: "y",
        idempotencyKey: "bad",
      },
    ],
  ])("refuses %s", async (_what, input) => {
    const answer = await start(input);
    expect([answer.status, answer.code]).toEqual([400, "VALIDATION_FAILED"]);
    expect((await balance()).held).toBe(0);
  });
});
