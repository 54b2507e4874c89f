import { describe, expect, test } from "vitest";
import { available } from "../support/backend.ts";
import { useBackend } from "../support/use-app.ts";
import { uniqueKey } from "../support/databases.ts";

describe("pubsub", () => {
  const subject = useBackend(available);
  test("every subscriber of a channel hears each message, in order, others none", async () => {
    const { pubsub } = subject.backend;
    const channel = uniqueKey();
    const [first, second, other]: [string[], string[], string[]] = [[], [], []];
    await pubsub.subscribe(channel, (message) => first.push(message));
    await pubsub.subscribe(channel, (message) => second.push(message));
    await pubsub.subscribe(uniqueKey(), (message) => other.push(message));
    for (const message of ["1", "2", "3"]) await pubsub.publish(channel, message);
    const heard = () => [first, second];
    await expect.poll(heard).toEqual([
      ["1", "2", "3"],
      ["1", "2", "3"],
    ]);
    expect(other).toEqual([]);
  });

  test("a listener that left hears nothing more, the others still do", async () => {
    const { pubsub } = subject.backend;
    const channel = uniqueKey();
    const [left, stayed]: [string[], string[]] = [[], []];
    const leave = await pubsub.subscribe(channel, (message) => left.push(message));
    await pubsub.subscribe(channel, (message) => stayed.push(message));
    await leave();
    await leave();
    await pubsub.publish(channel, "after");
    await expect.poll(() => stayed).toEqual(["after"]);
    expect(left).toEqual([]);
  });

  // Exception: an embedded instance has no other to publish to.
  test.runIf(available.redis)("crosses instances where there is Redis", async () => {
    const another = await subject.openAnother();
    const channel = uniqueKey();
    const heard: string[] = [];
    await another.pubsub.subscribe(channel, (message) => heard.push(message));
    await subject.backend.pubsub.publish(channel, "hello");
    await expect.poll(() => heard).toEqual(["hello"]);
  });
});
