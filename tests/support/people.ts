// Users of an app under test: with credits, with a session, or signed in, all created without the provider.
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

/** The identity as the provider would report it; defaults to a new one. */
export interface Identity {
  email?: string;
  subject?: string;
  issuer?: string;
}

export type People = ReturnType<typeof createPeople>;

/** A signed-in user. */
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

/** Creates the factory of an app's users. */
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
    /** Creates that many users without credits, in one go. */
    createUsers,
    /** A session whose refresh token has not been used; an admin's if the configuration or `isAdmin` says so. */
    session,
    /** Creates a user with that many credits in one lot that never expires. */
    async createUser(credits = 0) {
      const [userId = ""] = await createUsers(1);
      if (credits > 0) await ledger.submit(welcomeGrant(userId, credits));
      return userId;
    },
    /** Creates a signed-in user; `role` is what the database will hold. */
    person: async (role: "USER" | "ADMIN" = "USER") =>
      signedIn(await session({}, role === "ADMIN")),
    /** Signs the same user in again, with another session. */
    async signInAgain(userId: string) {
      const { subject } = await models.identity.findFirstOrThrow({ where: { userId } });
      const { email } = await models.user.findUniqueOrThrow({ where: { id: userId } });
      return signedIn(await session({ email, subject: subject ?? "" }));
    },
  };
}
