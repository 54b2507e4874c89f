// Owns the proof of promise 6: refresh never locks an honest user out and always cuts a thief off.
import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { RefreshAnswer } from "../../../server/auth/auth.service.ts";
import { createRefreshTokens } from "../../../server/auth/refresh-token.ts";
import { isAppError } from "../../../server/errors.ts";
import { createUserStore } from "../../../server/user/user.store.ts";
import { availableBackends } from "../../support/databases.ts";
import {
  FRONTEND,
  fromBrowser,
  fromNative,
  openWorld,
  REFRESH_SECRET,
  type World,
} from "./world.ts";

const ROUNDS = process.env["FULL"] === "1" ? 1_000 : 25;
const PARALLEL = 20;
const DAY_MS = 86_400_000;

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "OK";
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
}

for (const available of await availableBackends()) {
  describe(`refresh on ${available.name}`, () => {
    let world: World;
    beforeAll(async () => {
      world = await openWorld(available, { instances: 2 });
    });
    afterAll(() => world.close());
    afterEach(() => {
      world.clock.aheadMs = 0;
    });

    const instance = (index: number) => {
      const found = world.instances[index % world.instances.length];
      if (found === undefined) throw new Error("no instance");
      return found.auth;
    };
    const auth = () => instance(0);
    const models = () => world.opened.backend.database.models;
    /** The grace ends by a write that follows the answer: wait for it before moving the clock. */
    const settle = () => Promise.all(world.instances.map((one) => one.auth.close()));
    const session = (id: string) =>
      models().session.findUniqueOrThrow({
        where: { id },
        omit: { refreshTokenHash: false, previousTokenHash: false },
      });

    it("gives a new access token and a new refresh token back the way the old one came", async () => {
      const { refreshToken, userId, sessionId } = await world.person();
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

    it(`${ROUNDS} rounds of ${PARALLEL} at once over two instances: one live successor`, async () => {
      const { refreshToken, sessionId } = await world.person();
      let token = refreshToken;
      for (let round = 0; round < ROUNDS; round++) {
        const answers = await Promise.all(
          Array.from({ length: PARALLEL }, (_, index) =>
            instance(index).refresh(fromBrowser(token)),
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
          expect(await codeOf(instance(index).refresh(fromBrowser(token)))).toBe("OK"),
        ),
      );
    });

    it("gives a late second tab the same successor within 10 s, and ends the family afterwards", async () => {
      const { refreshToken, sessionId } = await world.person();
      const first = await auth().refresh(fromBrowser(refreshToken));
      await settle();
      world.clock.aheadMs += 9_000;
      const late = await instance(1).refresh(fromBrowser(refreshToken));
      expect(late.refreshToken).toBe(first.refreshToken);
      world.clock.aheadMs += 2_000;
      expect(await codeOf(instance(1).refresh(fromBrowser(refreshToken)))).toBe("REFRESH_REUSED");
      // The thief and the owner are both out, with refresh and access tokens, on every instance, at once.
      for (const index of [0, 1]) {
        expect(await codeOf(instance(index).refresh(fromBrowser(first.refreshToken)))).toBe(
          "SESSION_REVOKED",
        );
        expect(await codeOf(instance(index).authenticate(first.accessToken))).toBe(
          "SESSION_REVOKED",
        );
        expect(await codeOf(instance(index).authenticate(late.accessToken))).toBe(
          "SESSION_REVOKED",
        );
      }
      const { revokedReason, userId } = await session(sessionId);
      expect(revokedReason).toBe("reuse");
      const lines = await models().auditLog.findMany({ where: { targetId: userId } });
      expect(lines.map((line) => line.action)).toEqual(["session.reuse"]);
    });

    it("ends the family for a grand-parent token at once, grace or not", async () => {
      const { refreshToken } = await world.person();
      const one = await auth().refresh(fromBrowser(refreshToken));
      const two = await auth().refresh(fromBrowser(one.refreshToken));
      expect(await codeOf(auth().refresh(fromBrowser(refreshToken)))).toBe("REFRESH_REUSED");
      expect(await codeOf(auth().refresh(fromBrowser(two.refreshToken)))).toBe("SESSION_REVOKED");
    });

    it("ends one family and leaves the person's others alone", async () => {
      const subject = randomUUID();
      const email = `${subject}@example.com`;
      const [stolen, other] = [
        await world.person({ email, subject }),
        await world.person({ email, subject }),
      ];
      expect(stolen.userId).toBe(other.userId);
      const one = await auth().refresh(fromBrowser(stolen.refreshToken));
      await auth().refresh(fromBrowser(one.refreshToken));
      expect(await codeOf(auth().refresh(fromBrowser(stolen.refreshToken)))).toBe("REFRESH_REUSED");
      expect(await codeOf(auth().refresh(fromBrowser(other.refreshToken)))).toBe("OK");
    });

    it("never revokes for a forged token that merely names a session", async () => {
      const { refreshToken, sessionId } = await world.person();
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
        const { refreshToken, sessionId } = await world.person();
        const parsed = tokens.parse(refreshToken);
        if (parsed === null) throw new Error("our own token was refused");
        const successor = tokens.successor(parsed);
        // What is on disk when the process dies after step one: rotated, not sealed, nothing answered.
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
        const again = await instance(round).refresh(fromBrowser(refreshToken));
        expect(again.refreshToken).toBe(successor.text);
        expect(await codeOf(auth().refresh(fromBrowser(again.refreshToken)))).toBe("OK");
      }
    });

    it("slides for 7 days, ends for good after 30", async () => {
      const { refreshToken } = await world.person();
      let answer: RefreshAnswer = await auth().refresh(fromBrowser(refreshToken));
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
      const { refreshToken: unused } = await world.person();
      world.clock.aheadMs = 7 * DAY_MS + 1_000;
      expect(await codeOf(auth().refresh(fromBrowser(unused)))).toBe("TOKEN_EXPIRED");
    });

    it("an access token never outlives the sign-in", async () => {
      const { refreshToken, sessionId } = await world.person();
      const end = new Date(Date.now() + 60_000);
      await models().session.update({ where: { id: sessionId }, data: { absoluteExpiresAt: end } });
      const { expiresAt } = await auth().refresh(fromBrowser(refreshToken));
      expect(Date.parse(expiresAt)).toBeLessThanOrEqual(end.getTime());
    });

    it.each([
      ["no cookie", []],
      ["an empty cookie", [""]],
      ["garbage", ["garbage"]],
      ["a JWT", ["eyJhbGciOiJub25lIn0.e30."]],
      ["a megabyte", ["x".repeat(1_000_000)]],
      ["a token of no session", [createRefreshTokens([REFRESH_SECRET]).first(randomUUID()).text]],
    ])("refuses %s", async (_name, cookies) => {
      expect(await codeOf(auth().refresh(fromBrowser(...cookies)))).toBe("UNAUTHENTICATED");
    });

    it("refuses an access token in its place, and a refresh token in the access token's", async () => {
      const { refreshToken } = await world.person();
      const { accessToken, refreshToken: next } = await auth().refresh(fromBrowser(refreshToken));
      expect(await codeOf(auth().refresh(fromBrowser(accessToken)))).toBe("UNAUTHENTICATED");
      expect(await codeOf(auth().authenticate(next))).toBe("UNAUTHENTICATED");
      const idToken = await new SignJWT({ sub: "1" })
        .setProtectedHeader({ alg: "HS256", typ: "JWT" })
        .sign(new TextEncoder().encode(REFRESH_SECRET));
      expect(await codeOf(auth().authenticate(idToken))).toBe("UNAUTHENTICATED");
    });

    it("refuses two different cookies of its name (tossing), takes the same one twice", async () => {
      const [victim, attacker] = [await world.person(), await world.person()];
      for (const cookies of [
        [victim.refreshToken, attacker.refreshToken],
        [attacker.refreshToken, victim.refreshToken],
        [victim.refreshToken, "garbage"],
      ]) {
        expect(await codeOf(auth().refresh(fromBrowser(...cookies)))).toBe("UNAUTHENTICATED");
      }
      const both = fromBrowser(victim.refreshToken, victim.refreshToken);
      expect(await codeOf(auth().refresh(both))).toBe("OK");
    });

    it.each([
      ["a foreign origin", "https://evil.example"],
      ["null", "null"],
      ["no origin", null],
      ["a look-alike by prefix", `${FRONTEND}.evil.example`],
      ["a look-alike by suffix", "http://evil-localhost:3000"],
      ["another scheme", "https://localhost:3000"],
      ["another port", "http://localhost:3001"],
      ["another case", "HTTP://LOCALHOST:3000"],
      ["a path", `${FRONTEND}/`],
    ])("refuses the cookie from %s, for refresh and for logout", async (_name, origin) => {
      const { refreshToken, sessionId } = await world.person();
      const request = { ...fromBrowser(refreshToken), origin };
      expect(await codeOf(auth().refresh(request))).toBe("FORBIDDEN");
      expect(await codeOf(auth().logout(request))).toBe("FORBIDDEN");
      const withBody = { ...request, bodyToken: refreshToken };
      expect(await codeOf(auth().refresh(withBody))).toBe("FORBIDDEN");
      expect(await session(sessionId)).toMatchObject({ generation: 0, revokedAt: null });
    });

    it("takes the cookie from every configured origin", async () => {
      const { refreshToken } = await world.person();
      const request = { ...fromBrowser(refreshToken), origin: "https://app.example" };
      expect(await codeOf(auth().refresh(request))).toBe("OK");
    });

    it("refuses after logout, after logout-all, of a disabled and of a deleted user", async () => {
      const gone = await world.person();
      await auth().logout(fromBrowser(gone.refreshToken));
      await auth().logout(fromBrowser(gone.refreshToken));
      expect(await codeOf(auth().refresh(fromBrowser(gone.refreshToken)))).toBe("SESSION_REVOKED");

      const everywhere = await world.person();
      const { accessToken } = await auth().refresh(fromBrowser(everywhere.refreshToken));
      const principal = await auth().authenticate(accessToken);
      expect(await auth().logoutAll(principal)).toEqual({ revoked: 1 });
      const next = fromBrowser(everywhere.refreshToken);
      expect(await codeOf(instance(1).refresh(next))).toBe("SESSION_REVOKED");

      const disabled = await world.person();
      await models().user.update({
        where: { id: disabled.userId },
        data: { disabledAt: new Date() },
      });
      expect(await codeOf(auth().refresh(fromBrowser(disabled.refreshToken)))).toBe(
        "SESSION_REVOKED",
      );

      const deleted = await world.person();
      const users = createUserStore(world.opened.backend.database);
      await users.erase(deleted.userId, new Date());
      expect(await codeOf(auth().refresh(fromBrowser(deleted.refreshToken)))).toBe(
        "SESSION_REVOKED",
      );
    });

    it("does not tell a stolen logged-out token from a reused one by reviving anything", async () => {
      const { refreshToken } = await world.person();
      const one = await auth().refresh(fromBrowser(refreshToken));
      await auth().logout(fromBrowser(one.refreshToken));
      expect(await codeOf(auth().refresh(fromBrowser(refreshToken)))).toBe("SESSION_REVOKED");
    });

    it("keeps HMACs alone: a dump of the row signs nobody in", async () => {
      const { refreshToken, sessionId } = await world.person();
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
      const { refreshToken } = await world.person();
      const one = await auth().refresh(fromBrowser(refreshToken));
      await auth().refresh(fromBrowser(one.refreshToken));
      await codeOf(auth().refresh(fromBrowser(refreshToken)));
      expect(world.logged()).toContain("a refresh token was used again");
      expect(world.logged()).not.toMatch(/skr_[\w-]{20}/);
    });
  });
}
