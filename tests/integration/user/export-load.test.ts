// Exports stall nobody (promise 19): one at a time per user, few per server, a page at a time.
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { EXPORTS } from "../../../server/user/user.service.ts";
import { summarise } from "../../bench/load.ts";
import { available } from "../../support/backend.ts";
import type { SignedIn } from "../../support/server.ts";
import { useTestApp } from "../../support/use-app.ts";

const ROWS = 2_000;
const EXPORTERS = 60;
const SPENDS = 20;

describe("exports", () => {
  const server = useTestApp({ available });

  const models = () => server.opened.backend.database.models;

  /** Usage of a busy person; ten rows of each millisecond, so that pages end among equals. */
  async function fill(userId: string, rows: number): Promise<void> {
    const startMs = Date.now() - 86_400_000;
    await models().usageLog.createMany({
      data: Array.from({ length: rows }, (_, n) => ({
        id: randomUUID(),
        userId,
        feature: "chat-flash",
        credits: 1,
        createdAt: new Date(startMs + Math.floor(n / 10)),
      })),
    });
  }

  const exportOf = (person: SignedIn) =>
    server.client(person.accessToken).user.export.query() as Promise<Record<string, unknown[]>>;

  it("returns every row once, in order, over many pages", async () => {
    const person = await server.signIn("pages@example.com");
    await fill(person.userId, 1_733);
    const { usageLogs = [], ...rest } = await exportOf(person);
    const rows = usageLogs as { id: string; createdAt: string }[];
    expect(rows).toHaveLength(1_733);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(1_733);
    const times = rows.map(({ createdAt }) => createdAt);
    expect(times).toEqual(times.toSorted());
    expect(rest).not.toHaveProperty("incomplete");
  });

  it("keeps another user's spends quick while 60 exports of one user are asked for at once", async () => {
    const busy = await server.signIn("busy@example.com");
    const other = await server.signIn("other@example.com");
    await fill(busy.userId, ROWS);
    const spender = server.client(other.accessToken);
    /** What the one in the middle took. */
    async function spend(): Promise<number> {
      const tookMs: number[] = [];
      for (let n = 0; n < SPENDS; n += 1) {
        const order = { feature: "chat-flash", idempotencyKey: randomUUID() } as const;
        const startedAtMs = performance.now();
        await spender.credit.spend.mutate(order);
        tookMs.push(performance.now() - startedAtMs);
      }
      return summarise(tookMs).p50Ms;
    }
    const aloneMs = await spend();
    let spending = true;
    const spends = spend().finally(() => (spending = false));
    const outcomes: PromiseSettledResult<unknown>[] = [];
    // Again and again, so that every spend meets them, however fast or busy the machine is.
    do {
      const asked = Array.from({ length: EXPORTERS }, () => exportOf(busy));
      outcomes.push(...(await Promise.allSettled(asked)));
    } while (spending);
    const besideMs = await spends;
    const whole = outcomes.filter(({ status }) => status === "fulfilled");
    const refused = outcomes.flatMap((one) =>
      one.status === "rejected" ? [one.reason as unknown] : [],
    );
    // By the rule and not by the clock: what came while one was under way was refused, kindly.
    expect(whole.length).toBeGreaterThanOrEqual(1);
    expect(whole.length).toBeLessThanOrEqual(outcomes.length / 2);
    for (const reason of refused)
      expect(reason).toMatchObject({
        data: { app: { code: "RATE_LIMITED", retryAfterSeconds: expect.any(Number) as number } },
      });
    console.log(`export load: a spend takes ${aloneMs} ms alone, ${besideMs} ms beside exports`);
    expect(besideMs).toBeLessThan(Math.max(1_000, 10 * aloneMs));
  });

  it("gives a client that does not read its answer no second one, and keeps nobody else waiting", async () => {
    const [slow, other] = [
      await server.signIn("slow@example.com"),
      await server.signIn("o@example.com"),
    ];
    const url = "x".repeat(60_000);
    const now = new Date();
    // More than the socket's buffers take, in statements that a server takes.
    for (let n = 0; n < 8; n += 1)
      await models().checkout.createMany({
        data: Array.from({ length: 50 }, () => ({
          ...{ id: randomUUID(), userId: slow.userId, kind: "PACKAGE", offerId: "p", credits: 1 },
          ...{ amount: 1, currency: "usd", status: "EXPIRED", url, expiresAt: now, createdAt: now },
        })),
      });
    const unread = await fetch(`${server.url}/api/user/export`, {
      headers: { authorization: `Bearer ${slow.accessToken}` },
    });
    expect(unread.status).toBe(200);
    const again = await exportOf(slow).then(Object.keys, (error: unknown) => error);
    expect(again).toMatchObject({ data: { app: { code: "RATE_LIMITED" } } });
    expect(await exportOf(other)).toHaveProperty("user");
    await unread.body?.cancel();
    const keys = () => exportOf(slow).then(Object.keys, () => []);
    await expect.poll(keys, { timeout: 5_000 }).toContain("checkouts");
  });

  it(`runs at most ${EXPORTS.concurrency} at once for many users, one statement each`, async () => {
    const people = await Promise.all(
      Array.from({ length: 6 }, (_, n) => server.signIn(`many${n}@example.com`)),
    );
    for (const person of people) await fill(person.userId, 1_050);
    const usage = models().usageLog;
    const original = usage.findMany;
    let running = 0;
    let most = 0;
    const sizes: number[] = [];
    const watched = async (query: { take?: number }) => {
      running += 1;
      most = Math.max(most, running);
      try {
        const rows = await (original as (query: unknown) => Promise<unknown[]>)(query);
        sizes.push(rows.length);
        return rows;
      } finally {
        running -= 1;
      }
    };
    Object.defineProperty(usage, "findMany", { value: watched, configurable: true });
    try {
      const all = await Promise.all(people.map(exportOf));
      for (const { usageLogs } of all) expect(usageLogs).toHaveLength(1_050);
    } finally {
      Object.defineProperty(usage, "findMany", { value: original, configurable: true });
    }
    expect(sizes.length).toBeGreaterThanOrEqual(6 * 3);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(500);
    expect(most).toBeLessThanOrEqual(EXPORTS.concurrency);
  });
});
