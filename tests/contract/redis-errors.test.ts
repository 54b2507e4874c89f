// A Redis failure is logged with its address and a reason, and without a stack.
import { describe, expect, test } from "vitest";
import { addressOf, reasonOf } from "../../server/kv/redis/failure.ts";
import { openRedis } from "../../server/kv/redis/open.ts";
import { createLogger } from "../../server/lib/logger.ts";
import { freePort } from "../support/ports.ts";

describe("a Redis that cannot be reached", () => {
  test("is logged with its address and why, without a stack", async () => {
    const lines: string[] = [];
    const logger = createLogger({
      level: "debug",
      destination: { write: (line) => lines.push(line) },
    });
    const port = await freePort();
    const store = await openRedis(
      { kind: "single", host: "127.0.0.1", port, tls: false, db: 0, password: "a-password" },
      { logger, keyPrefix: "skywork_test_errors" },
    );
    await store.cache.get("key");
    await store.close();
    const away = lines.find((line) => line.includes("Redis unavailable")) ?? "{}";
    expect(JSON.parse(away)).toMatchObject({ redis: `127.0.0.1:${port}` });
    expect(away).toMatch(/"reason":"[^"]*ECONNREFUSED/);
    expect(lines.join("\n")).not.toMatch(/"stack"|node_modules|a-password/);
  });

  test("is named by all its addresses, and its reason found where ioredis hides it", () => {
    const nodes = [
      { host: "a", port: 1 },
      { host: "b", port: 2 },
    ];
    expect(addressOf({ kind: "cluster", nodes, password: "hidden" })).toBe("a:1,b:2");
    expect(addressOf({ kind: "sentinel", sentinels: nodes, name: "main" })).toBe("main at a:1,b:2");
    const refused = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" });
    expect(reasonOf(refused)).toBe("ECONNREFUSED");
    const slots = Object.assign(new Error("Failed to refresh slots cache."), {
      lastNodeError: new Error("NOAUTH Authentication required."),
    });
    expect(reasonOf(slots)).toContain("NOAUTH");
  });
});
