// A client that ioredis has given up on is reconnected for as long as it is in use.
import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { reconnectAbandoned, type RedisClient } from "../../../server/kv/redis/client.ts";

function openClient() {
  const client = Object.assign(new EventEmitter(), { status: "ready", connects: 0 });
  const connect = () => {
    client.connects += 1;
    return Promise.reject(new Error("Connection is closed."));
  };
  const state = { isWanted: true };
  reconnectAbandoned(
    Object.assign(client, { connect }) as unknown as RedisClient,
    () => state.isWanted,
  );
  const become = (status: string) => {
    client.status = status;
    client.emit(status);
  };
  return { client, state, become };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it.each(["end", "close"])("that stays at %s is connected again", async (status) => {
  const { client, become } = openClient();
  become(status);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(client.connects).toBe(1);
});

it("that reconnects by itself is left alone, and so is one that is closed for good", async () => {
  const { client, state, become } = openClient();
  become("close");
  become("reconnecting");
  await vi.advanceTimersByTimeAsync(5_000);
  state.isWanted = false;
  become("end");
  await vi.advanceTimersByTimeAsync(5_000);
  expect(client.connects).toBe(0);
});
