// To an honest second tab, instances whose clocks differ by minutes behave as one service.
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { useTestApp } from "../../support/use-app.ts";
import { codeOf } from "../../support/code-of.ts";
import { endGrace, fromBrowser } from "./support.ts";

const SIX_MINUTES_MS = 360_000;

describe("instances six minutes apart", () => {
  const world = useTestApp({ available, instances: 2, skewMs: [0, SIX_MINUTES_MS] });

  it.each([
    [0, 1],
    [1, 0],
  ])("keep the second tab signed in when %i rotates and %i is asked late", async (one, other) => {
    const [first, second] = [world.instances[one], world.instances[other]];
    if (first === undefined || second === undefined) throw new Error("no instance");
    const { refreshToken, sessionId } = await world.session();
    const answer = await first.auth.refresh(fromBrowser(refreshToken));
    await first.auth.close();
    const late = await second.auth.refresh(fromBrowser(refreshToken));
    expect(late.refreshToken).toBe(answer.refreshToken);
    // And each instance accepts what the other has signed.
    expect((await second.auth.authenticate(answer.accessToken)).sessionId).toBe(sessionId);
    expect((await first.auth.authenticate(late.accessToken)).sessionId).toBe(sessionId);
  });

  it.each([0, 1])(
    "end the family of a token that is used after its grace, at %i",
    async (index) => {
      const asked = world.instances[index];
      if (asked === undefined) throw new Error("no instance");
      const { refreshToken, sessionId } = await world.session();
      await world.auth.refresh(fromBrowser(refreshToken));
      await world.auth.close();
      await endGrace(world, sessionId);
      expect(await codeOf(asked.auth.refresh(fromBrowser(refreshToken)))).toBe("REFRESH_REUSED");
    },
  );
});
