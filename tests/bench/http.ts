// Owns the rows http.spend and http.balance: the real app in a process of its own, against tRPC's bare Express adapter.
import { randomBytes, randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { createAccessTokens } from "../../server/auth/session/access-token.ts";
import { buildServer } from "./built.ts";
import { type Child, startChild } from "./child.ts";
import type { LoadAnswer, LoadOrder } from "./http-load.process.ts";
import { type Measured, middle } from "./load.ts";
import type { Report } from "./report.ts";
import type { CpuAnswer, PortAnswer } from "./serve.ts";
import { createPlace, createUsers, IN_FLIGHT, openInstance, type Place } from "./world.ts";

const USERS = 1_000;
const ROUNDS = 3;
const SPEND_BODY = JSON.stringify({ feature: "chat-flash", idempotencyKey: "KEY" });

/** An environment a production server starts with; no vendor is ever called. */
export function productionEnv(place: Place): Record<string, string> {
  const secret = () => randomBytes(32).toString("base64");
  return {
    NODE_ENV: "production",
    DATABASE_URL: place.databaseUrl,
    ...(place.redisUrl === null ? {} : { REDIS_URL: place.redisUrl }),
    JWT_SECRET: secret(),
    REFRESH_TOKEN_SECRET: secret(),
    GOOGLE_CLIENT_ID: "nobody.apps.googleusercontent.com",
    GOOGLE_CLIENT_SECRET: secret(),
    GOOGLE_CALLBACK_URL: "https://api.bench.test/api/auth/google/callback",
    FRONTEND_URL: "https://bench.test",
    STRIPE_SECRET_KEY: "sk_test_nobody_calls_stripe_here",
    STRIPE_WEBHOOK_SECRET: "whsec_nobody_calls_stripe_here",
    STRIPE_API_BASE: "http://127.0.0.1:9",
    RATE_LIMIT_MAX_REQUESTS: "100000000",
  };
}

/** http.noop, http.spend and http.balance: 64 keep-alive callers, 1,000 users with tokens of their own. */
export async function benchHttp(report: Report, seconds: number): Promise<void> {
  const place = (await createPlace("mysql")) ?? (await createPlace("sqlite"));
  if (place === null) return report.say("http: no database");
  const env = productionEnv(place);
  const built = buildServer();
  const children: Child[] = [];
  const start = (name: string, childEnv = {}, nodeArguments: readonly string[] = []) => {
    const child = startChild(built.file(`tests/bench/${name}.process`), childEnv, nodeArguments);
    children.push(child);
    return child;
  };
  try {
    // Who has just spent is answered from the database: readers and spenders are not the same people.
    const readers = await signedInUsers(place, env["JWT_SECRET"] ?? "");
    const spenders = await signedInUsers(place, env["JWT_SECRET"] ?? "");
    const before = await creditsLeft(place);
    const app = start("app", { ...env, BENCH_KEY_PREFIX: place.keyPrefix });
    const noop = start("noop");
    const callers = start("http-load");
    const { port } = await app.ask<PortAnswer>(null);
    const base = await noop.ask<PortAnswer>(null);

    const common = { inFlight: IN_FLIGHT, tokens: readers, body: "" };
    const rows = [
      {
        name: "http.noop",
        server: noop,
        order: { port: base.port, method: "POST", path: "/api/trpc/noop", body: "{}", tokens: [] },
      },
      {
        name: "http.spend",
        server: app,
        order: {
          port,
          method: "POST",
          path: "/api/trpc/credit.spend",
          body: SPEND_BODY,
          tokens: spenders,
        },
      },
      {
        name: "http.balance",
        server: app,
        order: { port, method: "GET", path: "/api/trpc/credit.balance" },
      },
    ] as const;
    const runs = rows.map(() => ({ measured: [] as Measured[], cpuUs: 0, calls: 0 }));
    let spent = 0;
    // In turns, so that what else the machine does meets all; the first round only warms up.
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const [index, { name, server, order }] of rows.entries()) {
        const run = runs[index];
        const length = round === 0 ? Math.min(seconds, 2) : seconds / 2;
        const cpu = async () => (await server.ask<CpuAnswer>("cpu")).cpuMicroseconds;
        const cpuBefore = await cpu();
        const asked: LoadOrder = { ...common, ...order, seconds: length };
        const answer = await callers.ask<LoadAnswer>(asked);
        if (answer.refused > 0 || run === undefined)
          throw new Error(`${name}: ${answer.refused} refused, first: ${answer.firstRefusal}`);
        if (name === "http.spend") spent += answer.operations;
        if (round === 0) continue;
        run.measured.push(answer);
        run.cpuUs += (await cpu()) - cpuBefore;
        run.calls += answer.operations;
      }
    }
    const noopMiddle = middle(runs[0]?.measured ?? []);
    for (const [index, { name }] of rows.entries()) {
      const { measured, cpuUs, calls } = runs[index] ?? { measured: [], cpuUs: 0, calls: 1 };
      const mine = middle(measured);
      const ratio = index === 0 ? null : mine.opsPerSecond / noopMiddle.opsPerSecond;
      report.add(name, mine, ratio, `${Math.round(cpuUs / calls)} us of the server's CPU a call`);
    }
    const taken = before - (await creditsLeft(place));
    if (taken !== spent) throw new Error(`${spent} spends were answered, ${taken} credits taken.`);
  } finally {
    await Promise.all(children.map((child) => child.stop()));
    built.drop();
    if (place.redisUrl !== null) await removeKeys(place.redisUrl, place.keyPrefix);
    await place.drop();
  }
}

/** Access tokens of so many users, each with a session, as if they had signed in. */
async function signedInUsers(place: Place, secret: string): Promise<string[]> {
  const instance = await openInstance(place);
  try {
    const userIds = await createUsers(instance, USERS);
    const sessions = userIds.map((userId) => ({ id: randomUUID(), userId }));
    const endsAt = new Date(Date.now() + 86_400_000);
    await instance.backend.database.models.session.createMany({
      data: sessions.map((session) => ({
        ...session,
        refreshTokenHash: randomBytes(32).toString("hex"),
        expiresAt: endsAt,
        absoluteExpiresAt: endsAt,
      })),
    });
    const tokens = createAccessTokens({ secrets: [secret], ttlSeconds: 900, now: Date.now });
    const signed = sessions.map(({ id: sessionId, userId }) =>
      tokens.sign({ userId, sessionId, authVersion: 0 }, endsAt.getTime()),
    );
    return (await Promise.all(signed)).map(({ token }) => token);
  } finally {
    await instance.close();
  }
}

/** All users' credits together. */
async function creditsLeft(place: Place): Promise<number> {
  const instance = await openInstance(place);
  try {
    const { _sum } = await instance.backend.database.models.user.aggregate({
      _sum: { credits: true },
    });
    return _sum.credits ?? 0;
  } finally {
    await instance.close();
  }
}

async function removeKeys(redisUrl: string, prefix: string): Promise<void> {
  const client = new Redis(redisUrl);
  try {
    for await (const keys of client.scanStream({ match: `${prefix}:*`, count: 1_000 })) {
      const found = keys as string[];
      if (found.length > 0) await client.unlink(...found);
    }
  } finally {
    client.disconnect();
  }
}
