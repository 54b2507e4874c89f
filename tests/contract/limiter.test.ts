import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { available } from "../support/backend.ts";
import { useBackend } from "../support/use-app.ts";
import { uniqueKey } from "../support/databases.ts";

describe("limiter", () => {
  const subject = useBackend(available);
  const rule = { name: "contract", points: 5, windowMs: 60_000 };

  test("lets exactly `points` through, however many ask at once", async () => {
    const limiter = subject.backend.limiter(rule);
    const key = uniqueKey();
    const answers = await Promise.all(Array.from({ length: 20 }, () => limiter.consume(key)));
    expect(answers.filter(({ allowed }) => allowed)).toHaveLength(5);
    const refused = await limiter.consume(key);
    expect(refused).toMatchObject({ allowed: false, remaining: 0 });
    expect(refused.resetMs).toBeGreaterThan(0);
    expect(refused.resetMs).toBeLessThanOrEqual(60_000);
  });

  test("tells what is left", async () => {
    const limiter = subject.backend.limiter({ ...rule, points: 2 });
    const key = uniqueKey();
    expect(await limiter.consume(key)).toMatchObject({ allowed: true, remaining: 1 });
    expect(await limiter.consume(key)).toMatchObject({ allowed: true, remaining: 0 });
  });

  test("keys and rules are apart", async () => {
    const one = subject.backend.limiter({ ...rule, name: "one", points: 1 });
    const two = subject.backend.limiter({ ...rule, name: "two", points: 1 });
    const key = uniqueKey();
    expect((await one.consume(key)).allowed).toBe(true);
    expect((await two.consume(key)).allowed).toBe(true);
    expect((await one.consume(uniqueKey())).allowed).toBe(true);
    expect((await one.consume(key)).allowed).toBe(false);
  });

  test("a window is as long as it says, to the millisecond, and a new one begins after it", async () => {
    const windowMs = 1_250;
    const limiter = subject.backend.limiter({ name: "short", points: 1, windowMs });
    const key = uniqueKey();
    const { allowed, resetMs } = await limiter.consume(key);
    expect(allowed).toBe(true);
    expect(resetMs).toBeGreaterThan(1_000);
    expect(resetMs).toBeLessThanOrEqual(windowMs);
    expect((await limiter.consume(key)).allowed).toBe(false);
    await sleep(windowMs + 200);
    expect((await limiter.consume(key)).allowed).toBe(true);
  });

  // Exception: embedded instances count separately.
  test("instances share the count where there is Redis, and only there", async () => {
    const another = await subject.openAnother();
    const key = uniqueKey();
    const [here, there] = [subject.backend.limiter(rule), another.limiter(rule)];
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? here : there).consume(key)),
    );
    const allowed = answers.filter((answer) => answer.allowed).length;
    expect(allowed).toBe(available.redis ? 5 : 10);
  });
});
