// What a production server needs in a benchmark: an environment, signed-in users, and its own database within Redis.
import { randomBytes, randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { createAccessTokens } from "../../server/auth/session/access-token.ts";
import { createUsers, openInstance, type Place } from "./world.ts";

const TOKEN_SECONDS = 3_600;
/** The number of numbered databases in a Redis with default settings; 0 is the one everything uses. */
const REDIS_DATABASES = 16;

/** Returns an environment with which a production server starts; no vendor is ever called. */
export function productionEnv(
  place: Pick<Place, "databaseUrl" | "redisUrl">,
): Record<string, string> {
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

/** Returns access tokens of that many users, each with a session as if signed in. */
export async function signedInUsers(
  place: Place,
  secret: string,
  count: number,
): Promise<string[]> {
  const instance = await openInstance(place);
  try {
    const userIds = await createUsers(instance, count);
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
    const tokens = createAccessTokens({
      secrets: [secret],
      ttlSeconds: TOKEN_SECONDS,
      now: Date.now,
    });
    const signed = sessions.map(({ id: sessionId, userId }) =>
      tokens.sign({ userId, sessionId, authVersion: 0 }, endsAt.getTime()),
    );
    return (await Promise.all(signed)).map(({ token }) => token);
  } finally {
    await instance.close();
  }
}

/** Returns the sum of all users' credits. */
export async function creditsLeft(place: Place): Promise<number> {
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

/** Finds an empty numbered database in this Redis, because the program's own keys have the same prefix everywhere. */
export async function ownRedis(redisUrl: string) {
  const client = new Redis(redisUrl);
  for (let number = REDIS_DATABASES - 1; number > 0; number -= 1) {
    await client.select(number);
    if ((await client.dbsize()) > 0) continue;
    const url = new URL(redisUrl);
    url.pathname = `/${number}`;
    const drop = async () => {
      await client.flushdb();
      client.disconnect();
    };
    return { url: url.href, drop };
  }
  client.disconnect();
  throw new Error(`Every numbered database of the Redis at ${new URL(redisUrl).host} is in use.`);
}
