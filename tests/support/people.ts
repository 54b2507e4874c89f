// Users of an app under test: with credits, with a session, or signed in, each made without the provider.
import { randomUUID } from "node:crypto";
import { createRefreshTokens } from "../../server/auth/session/refresh-token.ts";
import { writeSignIn } from "../../server/auth/sign-in/sign-in.store.ts";
import type { Config } from "../../server/config/config.ts";
import type { Logger } from "../../server/lib/logger.ts";
import type { Ledger } from "../../server/ledger/ports.ts";
import type { Backend } from "../../server/infrastructure.ts";
import type { Services } from "../../server/trpc/context.ts";
import type { TestClock } from "./test-clock.ts";
import { welcomeGrant } from "./operations.ts";

/** Who the provider says it is; defaults to somebody new. */
export interface Identity {
  email?: string;
  subject?: string;
  issuer?: string;
}

export type People = ReturnType<typeof createPeople>;

/** Somebody who is signed in. */
export type Person = Awaited<ReturnType<People["person"]>>;

interface PeopleDeps {
  readonly auth: Services["auth"];
  readonly backend: Backend;
  readonly clock: TestClock;
  readonly config: Config;
  readonly ledger: Ledger;
  readonly logger: Logger;
}

const CLIENT = { userAgent: "suite", ip: "192.0.2.7" };

/** Makes the people of an app. */
export function createPeople({ auth, backend, clock, config, ledger, logger }: PeopleDeps) {
  const { models } = backend.database;
  const signInDeps = { database: backend.database, ledger, logger };
  const tokens = createRefreshTokens(config.tokens.refreshSecrets);

  async function createUsers(count: number): Promise<string[]> {
    const ids = Array.from({ length: count }, () => randomUUID());
    const at = new Date(clock.now());
    await models.user.createMany({
      data: ids.map((id) => ({ id, email: `${id}@example.com`, createdAt: at, updatedAt: at })),
    });
    return ids;
  }

  async function session(identity: Identity = {}, isAdmin?: boolean) {
    const { subject = randomUUID(), issuer = config.google.issuer } = identity;
    const email = identity.email ?? `${subject}@example.com`;
    const token = tokens.first(randomUUID());
    const startedAt = new Date(clock.now());
    const { userId } = await writeSignIn(signInDeps, {
      identity: { issuer, subject, email, name: "Test Person", avatar: null },
      session: {
        id: token.sessionId,
        tokenHash: tokens.hash(token),
        startedAt,
        expiresAt: new Date(startedAt.getTime() + config.tokens.refreshTtlSeconds * 1_000),
        absoluteExpiresAt: new Date(
          startedAt.getTime() + config.tokens.sessionMaxAgeSeconds * 1_000,
        ),
        client: CLIENT,
      },
      signupCredits: config.credits.signup,
      isAdmin: isAdmin ?? config.adminEmails.includes(email),
    });
    return { userId, sessionId: token.sessionId, email, refreshToken: token.text };
  }

  async function signedIn(made: Awaited<ReturnType<typeof session>>) {
    const { accessToken, refreshToken } = await auth.refresh({
      ...CLIENT,
      refreshCookies: [],
      bodyToken: made.refreshToken,
      origin: null,
    });
    return { ...made, accessToken, refreshToken };
  }

  return {
    /** So many users without credits, made at once. */
    createUsers,
    /** A session whose refresh token was not used yet, of an admin if the configuration or `isAdmin` says so. */
    session,
    /** A user with so many credits in one lot that never expires. */
    async createUser(credits = 0) {
      const [userId = ""] = await createUsers(1);
      if (credits > 0) await ledger.submit(welcomeGrant(userId, credits));
      return userId;
    },
    /** A signed-in person; `role` as the database shall have it. */
    person: async (role: "USER" | "ADMIN" = "USER") =>
      signedIn(await session({}, role === "ADMIN")),
    /** The same person in another session. */
    async signInAgain(userId: string) {
      const { subject } = await models.identity.findFirstOrThrow({ where: { userId } });
      const { email } = await models.user.findUniqueOrThrow({ where: { id: userId } });
      return signedIn(await session({ email, subject: subject ?? "" }));
    },
  };
}
