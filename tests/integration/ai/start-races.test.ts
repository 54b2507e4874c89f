// Starts of runs at the same moment: what one key, or the last free place, comes to is decided by the database's locks.
import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import type { Person } from "../../support/people.ts";
import { readRun } from "../../support/read-run.ts";
import { useTestApp } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

const ask = (content: string) => ({
  feature: "chat-pro",
  messages: [{ role: "user", content }],
  idempotencyKey: randomUUID(),
});

describe("runs that are started at once", () => {
  const world = useTestApp({ available });
  let person: Person;
  beforeEach(async () => {
    world.sandbox.model.control.reset();
    world.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
    person = await world.person();
  });

  const start = async (input: unknown) => {
    const answer = await world.call("ai.start", "mutation", input, bearer(person.accessToken));
    return { code: answer.code, ...(answer.data as { runId: string; replayed: boolean }) };
  };
  const read = (runId: string) => readRun(world.url, person.accessToken, { runId });
  const stop = (runId: string) =>
    world.call("ai.stop", "mutation", { runId }, bearer(person.accessToken));

  it("are one when one key is used 20 times", async () => {
    const before = world.sandbox.model.control.requests;
    const input = ask("Twenty at once");
    const answers = await Promise.all(Array.from({ length: 20 }, () => start(input)));
    expect(new Set(answers.map(({ runId }) => runId)).size).toBe(1);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    const { end } = await read(answers[0]?.runId ?? "");
    expect(end).toMatchObject({ charged: 5, balance: 95 });
    expect(world.sandbox.model.control.requests - before).toBe(1);
  });

  it("are ten at most", async () => {
    world.sandbox.model.control.misbehave({ fault: "hang", times: 10 });
    const started = await Promise.all(Array.from({ length: 10 }, () => start(ask("One of ten"))));
    expect(started.map(({ code }) => code)).toEqual(Array(10).fill(null));
    expect((await start(ask("Eleventh"))).code).toBe("RATE_LIMITED");
    await Promise.all(started.map(({ runId }) => stop(runId)));
    const next = await start(ask("Now it may"));
    expect(next.code).toBeNull();
    await read(next.runId);
  });
});
