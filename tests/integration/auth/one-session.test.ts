// One sign-in attempt creates one session thanks to the database alone: no cache, a provider that accepts codes twice.
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createAuthService } from "../../../server/auth/auth.service.ts";
import type { IdentityProvider } from "../../../server/auth/ports.ts";
import { createSessionStore } from "../../../server/auth/session/session.store.ts";
import { writeSignIn } from "../../../server/auth/sign-in/sign-in.store.ts";
import { available } from "../../support/backend.ts";
import { useTestApp } from "../../support/use-app.ts";
import { newEmail } from "./support.ts";

describe("a callback sent eight times at once", () => {
  const world = useTestApp({ available });

  it("makes one session, without a cache and with a provider that redeems a code twice", async () => {
    const email = newEmail();
    const subject = randomUUID();
    const issuer = "https://lax.example";
    // The sandbox's providers never redeem a code twice, so this one is faked at the port.
    const identityProvider: IdentityProvider = {
      check: () => Promise.resolve(),
      authorizationUrl: ({ state }) =>
        Promise.resolve(new URL(`https://lax.example/?state=${state}`)),
      exchange: () => Promise.resolve({ issuer, subject, email, name: null, avatar: null }),
    };
    const auth = createAuthService({
      config: world.config,
      sessions: createSessionStore(world.backend.database),
      writeSignIn: (request) =>
        writeSignIn({ ...world, database: world.backend.database }, request),
      sharedCache: null,
      // A store that is unavailable.
      usedStates: { setIfAbsent: () => Promise.resolve(undefined) },
      identityProvider,
      logger: world.logger,
      now: Date.now,
    });
    const out = await auth.startSignIn({ returnTo: null, stateCookies: [], ip: "127.0.0.1" });
    const state = new URL(out.location).searchParams.get("state") ?? "";
    const finish = () =>
      auth.finishSignIn({
        query: { state, code: "code", error: undefined, issuer: undefined },
        stateCookies: out.setStateCookie === null ? [] : [out.setStateCookie],
        refreshCookies: [],
        userAgent: null,
        ip: "127.0.0.1",
      });
    const answers = await Promise.all(Array.from({ length: 8 }, finish));
    answers.push(await finish());
    const errors = answers.map(({ error }) => error);
    expect(errors.filter((error) => error === null)).toHaveLength(1);
    expect(errors.filter((error) => error === "state_invalid")).toHaveLength(8);
    const { models } = world;
    const user = await models.user.findUniqueOrThrow({ where: { email } });
    expect(await models.session.count({ where: { userId: user.id } })).toBe(1);
  });
});
