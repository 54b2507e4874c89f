// A logout queries the database once for each session, and again only after a failure.
import { randomUUID } from "node:crypto";
import { expect, it, vi } from "vitest";
import { createLogout } from "../../../server/auth/session/presented-token.ts";
import { createRefreshTokens } from "../../../server/auth/session/refresh-token.ts";
import { serviceUnavailable } from "../../../server/database/errors.ts";

const fromNative = (bodyToken = "") => ({
  ...{ refreshCookies: [], bodyToken, origin: null },
  ...{ userAgent: "native/1", ip: "127.0.0.1" },
});

it("shares one write between the logouts of a session, and tries again after a failure", async () => {
  const refreshTokens = createRefreshTokens(["a-secret-of-this-test-alone-0123456789abcdef"]);
  const revoke = vi.fn().mockRejectedValueOnce(serviceUnavailable()).mockResolvedValue(true);
  const invalidate = vi.fn().mockResolvedValue(undefined);
  const logout = createLogout({
    config: { frontendOrigins: [] },
    ...{ refreshTokens, sessions: { revoke }, sessionCache: { invalidate }, now: Date.now },
  });
  const [one, other] = [randomUUID(), randomUUID()].map((id) => refreshTokens.first(id));
  const failed = await Promise.allSettled([1, 2].map(() => logout(fromNative(one?.text))));
  expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(revoke).toHaveBeenCalledTimes(1);
  for (let call = 0; call < 3; call += 1) await logout(fromNative(one?.text));
  await logout(fromNative(other?.text));
  expect(revoke.mock.calls.map(([id]) => id as string)).toEqual(
    [one, one, other].map((token) => token?.sessionId),
  );
  expect(invalidate).toHaveBeenCalledTimes(2);
});
