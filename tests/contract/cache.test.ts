import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { available } from "../support/backend.ts";
import { useBackend } from "../support/use-app.ts";
import { uniqueKey } from "../support/databases.ts";

describe("cache", () => {
  const subject = useBackend(available);
  test("gives back what was set, as text, until deleted", async () => {
    const { cache } = subject.backend;
    const key = uniqueKey();
    expect(await cache.get(key)).toBeUndefined();
    await cache.set(key, "zwölf 💡", 60);
    expect(await cache.get(key)).toBe("zwölf 💡");
    await cache.set(key, "", 60);
    expect(await cache.get(key)).toBe("");
    await cache.delete(key);
    expect(await cache.get(key)).toBeUndefined();
  });

  test("forgets after the time to live, also one under a second", async () => {
    const { cache } = subject.backend;
    const key = uniqueKey();
    await cache.set(key, "soon gone", 0.05);
    await sleep(150);
    expect(await cache.get(key)).toBeUndefined();
  });

  test("setIfAbsent lets exactly one of many win", async () => {
    const { cache } = subject.backend;
    const key = uniqueKey();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => cache.setIfAbsent(key, String(index), 60)),
    );
    expect(answers.filter((won) => won === true)).toHaveLength(1);
    expect(await cache.get(key)).toBe(String(answers.indexOf(true)));
  });

  test("setIfAbsent succeeds again once the first has expired", async () => {
    const { cache } = subject.backend;
    const key = uniqueKey();
    expect(await cache.setIfAbsent(key, "first", 0.05)).toBe(true);
    await sleep(150);
    expect(await cache.setIfAbsent(key, "second", 60)).toBe(true);
  });

  test("deletes many keys at once, absent ones too, and none", async () => {
    const { cache } = subject.backend;
    const keys = [uniqueKey(), uniqueKey(), uniqueKey()];
    for (const key of keys.slice(0, 2)) await cache.set(key, "x", 60);
    await cache.delete(...keys);
    await cache.delete();
    expect(await Promise.all(keys.map((key) => cache.get(key)))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  // Exception: an in-process cache belongs to its instance; only Redis is shared.
  test("is shared by instances where there is Redis, and only there", async () => {
    const another = await subject.openAnother();
    const key = uniqueKey();
    await subject.backend.cache.set(key, "shared", 60);
    expect(await another.cache.get(key)).toBe(available.redis ? "shared" : undefined);
  });
});
