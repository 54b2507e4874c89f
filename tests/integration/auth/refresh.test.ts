// Promise 6: refresh never locks an honest user out and always cuts a thief off.
import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import type { RefreshRequest, RefreshResult } from "../../../server/auth/auth.types.ts";
import { createRefreshTokens } from "../../../server/auth/session/refresh-token.ts";
import {
  type RefreshDeps,
  rotateRefreshToken,
} from "../../../server/auth/session/rotate-refresh-token.ts";
import { createSessionStore } from "../../../server/auth/session/session.store.ts";
import { available } from "../../support/backend.ts";
import { FRONTEND, REFRESH_SECRET } from "../../support/server-env.ts";
import { useTestApp } from "../../support/use-app.ts";
import { codeOf } from "../../support/code-of.ts";
import { endGrace, fromBrowser, fromNative } from "./support.ts";
import { silent } from "../../support/silent.ts";

const ROUNDS = process.env["FULL"] === "1" ? 1_000 : 25;
const PARALLEL = 20;
const DAY_MS = 86_400_000;

describe("refresh", () => {
  const world = useTestApp({ available, instances: 2, logLevel: "info" });
  afterEach(() => {
    world.clock.aheadMs = 0;
  });

  const auth = () => world.instance(0).auth;
  const models = () => world.models;
  /** Waits for the write that ends the grace period: it follows the answer, and the clock must not move before it. */
  const settle = () => Promise.all(world.instances.map((one) => one.auth.close()));
  const session = (id: string) =>
    models().session.findUniqueOrThrow({
      where: { id },
      omit: { refreshTokenHash: false, previousTokenHash: false },
    });

  const store = () => createSessionStore(world.opened.backend.database);
  /** Only the rotation, as another instance would do it. */
  const rotation = (refreshSecrets: string[], sessions: RefreshDeps["sessions"] = store()) => {
    const deps: RefreshDeps = {
      config: { tokens: { refreshTtlSeconds: 604_800 }, frontendOrigins: [FRONTEND] },
      refreshTokens: createRefreshTokens(refreshSecrets),
      sessions,
      logger: silent,
      now: Date.now,
      accessTokens: { sign: () => Promise.resolve({ token: "signed", expiresAt: new Date() }) },
      sessionCache: { invalidate: () => Promise.resolve() },
      pendingGraceEnds: new Set(),
    };
    return {
      refresh: (request: RefreshRequest) => rotateRefreshToken(deps, request),
      close: () => Promise.all(deps.pendingGraceEnds),
    };
  };

  it("gives a new access token and a new refresh token back the way the old one came", async () => {
    const { refreshToken, userId, sessionId } = await world.session();
    const first = await auth().refresh(fromBrowser(refreshToken));
    expect(first.transport).toBe("cookie");
    expect(first.refreshToken).not.toBe(refreshToken);
    expect(first.maxAgeSeconds).toBeGreaterThan(7 * 86_400 - 10);
    expect(first.maxAgeSeconds).toBeLessThanOrEqual(7 * 86_400);
    expect(await auth().authenticate(first.accessToken)).toEqual({
      userId,
      sessionId,
      role: "USER",
    });
    const second = await auth().refresh(fromNative(first.refreshToken));
    expect(second.transport).toBe("body");
    expect(second.refreshToken).not.toBe(first.refreshToken);
  });

  it(`gives ${PARALLEL} calls at once over two instances one live successor, in each of ${ROUNDS} rounds`, async () => {
    const { refreshToken, sessionId } = await world.session();
    let token = refreshToken;
    for (let round = 0; round < ROUNDS; round++) {
      const answers = await Promise.all(
        Array.from({ length: PARALLEL }, (_, index) =>
          world.instance(index).auth.refresh(fromBrowser(token)),
        ),
      );
      const successors = new Set(answers.map((answer) => answer.refreshToken));
      expect(successors.size, `round ${round}`).toBe(1);
      token = answers[0]?.refreshToken ?? "";
      expect((await session(sessionId)).generation).toBe(round + 1);
      await settle();
    }
    await Promise.all(
      [0, 1].map(async (index) =>
        expect(await codeOf(world.instance(index).auth.refresh(fromBrowser(token)))).toBe("OK"),
      ),
    );
  }, 900_000);

  it("gives a late second tab the same successor within 10 s, and ends the family afterwards", async () => {
    const { refreshToken, sessionId } = await world.session();
    const first = await auth().refresh(fromBrowser(refreshToken));
    await settle();
    const late = await world.instance(1).auth.refresh(fromBrowser(refreshToken));
    expect(late.refreshToken).toBe(first.refreshToken);
    const { graceEndsAt } = await session(sessionId);
    expect(Math.abs((graceEndsAt?.getTime() ?? 0) - Date.now() - 10_000)).toBeLessThan(5_000);
    await endGrace(world, sessionId);
    expect(await codeOf(world.instance(1).auth.refresh(fromBrowser(refreshToken)))).toBe(
      "REFRESH_REUSED",
    );
    // Thief and owner are both signed out immediately, with refresh and access tokens, on every instance.
    for (const index of [0, 1]) {
      expect(
        await codeOf(world.instance(index).auth.refresh(fromBrowser(first.refreshToken))),
      ).toBe("SESSION_REVOKED");
      expect(await codeOf(world.instance(index).auth.authenticate(first.accessToken))).toBe(
        "SESSION_REVOKED",
      );
      expect(await codeOf(world.instance(index).auth.authenticate(late.accessToken))).toBe(
        "SESSION_REVOKED",
      );
    }
    const { revokedReason, userId } = await session(sessionId);
    expect(revokedReason).toBe("reuse");
    const lines = await models().auditLog.findMany({ where: { targetId: userId } });
    expect(lines.map((line) => line.action)).toEqual(["session.reuse"]);
  });

  it("ends the family for a grand-parent token at once, grace or not", async () => {
    const { refreshToken } = await world.session();
    const one = await auth().refresh(fromBrowser(refreshToken));
    const two = await auth().refresh(fromBrowser(one.refreshToken));
    expect(await codeOf(auth().refresh(fromBrowser(refreshToken)))).toBe("REFRESH_REUSED");
    expect(await codeOf(auth().refresh(fromBrowser(two.refreshToken)))).toBe("SESSION_REVOKED");
  });

  it("ends no family for a token that was current when it came and was overtaken twice before it could rotate", async () => {
    const { refreshToken, sessionId } = await world.session();
    const sessions = store();
    let last = refreshToken;
    const slow = rotation([REFRESH_SECRET], {
      ...sessions,
      rotate: async (wanted) => {
        for (let other = 0; other < 2; other++)
          last = (await auth().refresh(fromBrowser(last))).refreshToken;
        return sessions.rotate(wanted);
      },
    });
    expect(await codeOf(slow.refresh(fromBrowser(refreshToken)))).toBe("SERVICE_UNAVAILABLE");
    expect((await session(sessionId)).revokedAt).toBeNull();
    expect(await codeOf(auth().refresh(fromBrowser(last)))).toBe("OK");
    // A token that is already old when it arrives is still a theft.
    expect(await codeOf(slow.refresh(fromBrowser(refreshToken)))).toBe("REFRESH_REUSED");
  });

  it("ends no family for a token that waited here until it was old, and whose client has left", async () => {
    const { refreshToken, sessionId } = await world.session();
    const stoodStill = rotation([REFRESH_SECRET]);
    let last = refreshToken;
    for (let other = 0; other < 2; other++)
      last = (await auth().refresh(fromBrowser(last))).refreshToken;
    const gone = { ...fromBrowser(refreshToken), hasDisconnected: () => true };
    expect(await codeOf(stoodStill.refresh(gone))).toBe("SERVICE_UNAVAILABLE");
    expect((await session(sessionId)).revokedAt).toBeNull();
    expect(await codeOf(auth().refresh(fromBrowser(last)))).toBe("OK");
    // A client that is still waiting learns that the token was reused.
    const there = { ...fromBrowser(refreshToken), hasDisconnected: () => false };
    expect(await codeOf(stoodStill.refresh(there))).toBe("REFRESH_REUSED");
  });

  it("ends one family and leaves the person's others alone", async () => {
    const subject = randomUUID();
    const email = `${subject}@example.com`;
    const [stolen, other] = [
      await world.session({ email, subject }),
      await world.session({ email, subject }),
    ];
    expect(stolen.userId).toBe(other.userId);
    const one = await auth().refresh(fromBrowser(stolen.refreshToken));
    await auth().refresh(fromBrowser(one.refreshToken));
    expect(await codeOf(auth().refresh(fromBrowser(stolen.refreshToken)))).toBe("REFRESH_REUSED");
    expect(await codeOf(auth().refresh(fromBrowser(other.refreshToken)))).toBe("OK");
  });

  it("never revokes for a forged token that merely names a session", async () => {
    const { refreshToken, sessionId } = await world.session();
    const renewed = await auth().refresh(fromBrowser(refreshToken));
    await auth().refresh(fromBrowser(renewed.refreshToken));
    const forger = createRefreshTokens(["a-secret-the-attacker-made-up-0123456789"]);
    const forged = forger.first(sessionId);
    const bytes = Buffer.from(renewed.refreshToken.slice(4), "base64url");
    bytes.writeUInt8(bytes.readUInt8(30) ^ 1, 30);
    for (const text of [
      forged.text,
      forger.successor(forged).text,
      `skr_${bytes.toString("base64url")}`,
    ]) {
      expect(await codeOf(auth().refresh(fromBrowser(text)))).toBe("UNAUTHENTICATED");
      await auth().logout(fromBrowser(text));
    }
    expect((await session(sessionId)).revokedAt).toBeNull();
  });

  it("killed between its two steps: the old token still gets its successor, hours later, without a fork", async () => {
    const tokens = createRefreshTokens([REFRESH_SECRET]);
    for (let round = 0; round < 10; round++) {
      const { refreshToken, sessionId } = await world.session();
      const parsed = tokens.parse(refreshToken);
      if (parsed === null) throw new Error("our own token was refused");
      const successor = tokens.successor(parsed);
      // The state on disk when the process dies after step one: rotated, the grace period still open, nothing answered.
      const { count } = await models().session.updateMany({
        where: { id: sessionId, generation: 0 },
        data: {
          refreshTokenHash: tokens.hash(successor),
          previousTokenHash: tokens.hash(parsed),
          generation: 1,
          graceEndsAt: null,
        },
      });
      expect(count).toBe(1);
      world.clock.aheadMs = round * 3_600_000;
      const again = await world.instance(round).auth.refresh(fromBrowser(refreshToken));
      expect(again.refreshToken).toBe(successor.text);
      expect(await codeOf(auth().refresh(fromBrowser(again.refreshToken)))).toBe("OK");
    }
  });

  it("ends a grace whose end was never written 10 s after the old token was used in it", async () => {
    const { refreshToken, sessionId } = await world.session();
    const first = await auth().refresh(fromBrowser(refreshToken));
    await settle();
    // As if the server had died, or the database had failed, before the end of the grace period was written.
    await models().session.update({ where: { id: sessionId }, data: { graceEndsAt: null } });
    const again = await world.instance(1).auth.refresh(fromBrowser(refreshToken));
    expect(again.refreshToken).toBe(first.refreshToken);
    await settle();
    await endGrace(world, sessionId);
    expect(await codeOf(auth().refresh(fromBrowser(refreshToken)))).toBe("REFRESH_REUSED");
  });

  const NEXT_SECRET = "the-next-refresh-secret-0123456789abcdefghij";

  it("changes its secret without signing anybody out, and gives two tabs one successor across the change", async () => {
    const [before, during, after] = [
      rotation([REFRESH_SECRET]),
      rotation([NEXT_SECRET, REFRESH_SECRET]),
      rotation([NEXT_SECRET]),
    ];
    const { refreshToken, sessionId } = await world.session();
    const first = await before.refresh(fromBrowser(refreshToken));
    expect((await during.refresh(fromBrowser(refreshToken))).refreshToken).toBe(first.refreshToken);
    const second = await during.refresh(fromBrowser(first.refreshToken));
    // An instance that does not know the new secret yet asks to retry: it neither ends the family nor forks it.
    expect(await codeOf(before.refresh(fromBrowser(first.refreshToken)))).toBe(
      "SERVICE_UNAVAILABLE",
    );
    expect((await session(sessionId)).revokedAt).toBeNull();
    expect(await codeOf(after.refresh(fromBrowser(first.refreshToken)))).toBe("UNAUTHENTICATED");
    expect(await codeOf(after.refresh(fromBrowser(second.refreshToken)))).toBe("OK");
    await Promise.all([before.close(), during.close(), after.close()]);
  });

  it("signs out whoever meets an instance that was not told of the new secret: so it is listed last first", async () => {
    const [untold, told, second] = [
      rotation([REFRESH_SECRET]),
      rotation([REFRESH_SECRET, NEXT_SECRET]),
      rotation([NEXT_SECRET, REFRESH_SECRET]),
    ];
    const { refreshToken } = await world.session();
    const first = await untold.refresh(fromBrowser(refreshToken));
    const renewed = await second.refresh(fromBrowser(first.refreshToken));
    expect(await codeOf(untold.refresh(fromBrowser(renewed.refreshToken)))).toBe("UNAUTHENTICATED");
    const back = await told.refresh(fromBrowser(renewed.refreshToken));
    expect(await codeOf(second.refresh(fromBrowser(back.refreshToken)))).toBe("OK");
    await Promise.all([untold.close(), told.close(), second.close()]);
  });

  it("goes on for 7 days after each refresh, and ends 30 days after the sign-in", async () => {
    const { refreshToken } = await world.session();
    let answer: RefreshResult = await auth().refresh(fromBrowser(refreshToken));
    // A laptop that wakes up every six days.
    for (const day of [6, 12, 18, 24, 29]) {
      await settle();
      world.clock.aheadMs = day * DAY_MS;
      answer = await auth().refresh(fromBrowser(answer.refreshToken));
    }
    expect(answer.maxAgeSeconds).toBeLessThanOrEqual(86_400);
    world.clock.aheadMs = 30 * DAY_MS + 1_000;
    expect(await codeOf(auth().refresh(fromBrowser(answer.refreshToken)))).toBe("TOKEN_EXPIRED");
    world.clock.aheadMs = 0;
    const { refreshToken: unused } = await world.session();
    world.clock.aheadMs = 7 * DAY_MS + 1_000;
    expect(await codeOf(auth().refresh(fromBrowser(unused)))).toBe("TOKEN_EXPIRED");
  });

  it("returns an access token that ends with the sign-in when that ends sooner", async () => {
    const { refreshToken, sessionId } = await world.session();
    const end = new Date(Date.now() + 60_000);
    await models().session.update({ where: { id: sessionId }, data: { absoluteExpiresAt: end } });
    const { expiresAt } = await auth().refresh(fromBrowser(refreshToken));
    expect(Date.parse(expiresAt)).toBeLessThanOrEqual(end.getTime());
  });

  it("keeps HMACs alone: a dump of the row signs nobody in", async () => {
    const { refreshToken, sessionId } = await world.session();
    const { refreshToken: next } = await auth().refresh(fromBrowser(refreshToken));
    const row = await session(sessionId);
    const dump = JSON.stringify(row);
    for (const token of [refreshToken, next]) {
      expect(dump).not.toContain(token);
      expect(dump).not.toContain(token.slice(4, 60));
    }
    for (const value of [row.refreshTokenHash, row.previousTokenHash ?? ""]) {
      expect(await codeOf(auth().refresh(fromBrowser(value)))).toBe("UNAUTHENTICATED");
      expect(await codeOf(auth().refresh(fromBrowser(`skr_${value}`)))).toBe("UNAUTHENTICATED");
    }
  });

  it("leaves the reuse in the log, and no token", async () => {
    const { refreshToken } = await world.session();
    const one = await auth().refresh(fromBrowser(refreshToken));
    await auth().refresh(fromBrowser(one.refreshToken));
    await codeOf(auth().refresh(fromBrowser(refreshToken)));
    const logged = JSON.stringify(world.logged());
    expect(logged).toContain("a refresh token was used again");
    expect(logged).not.toMatch(/skr_[\w-]{20}/);
  });
});
