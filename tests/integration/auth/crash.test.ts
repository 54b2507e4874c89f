// A server killed between the two steps of a refresh locks no user out and forks no session (promise 6).
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { REFRESH_SECRET } from "../../support/server-env.ts";
import { useTestApp } from "../../support/use-app.ts";
import { fromNative } from "./support.ts";

const KILLS = process.env["FULL"] === "1" ? 100 : 3;
const CHILD = fileURLToPath(new URL("./crash-child.ts", import.meta.url));

describe("a crash", () => {
  const world = useTestApp({ available });

  /** Refreshes `token` in a process that dies after its first step; resolves with the signal that killed it. */
  function dieWhileRefreshing(token: string): Promise<NodeJS.Signals | null> {
    const child = spawn(process.execPath, ["--import", "tsx", CHILD], {
      env: {
        ...process.env,
        ...world.opened.env,
        NODE_ENV: "test",
        KEY_PREFIX: world.opened.keyPrefix,
        TOKEN: token,
        JWT_SECRET: "5e8d2f4a-access-9c1b-of-the-7a3e-crash-suite",
        REFRESH_TOKEN_SECRET: REFRESH_SECRET,
      },
      stdio: ["ignore", "ignore", "inherit"],
    });
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (_code, signal) => resolve(signal));
    });
  }

  it(`between the two steps leaves the old token good for one successor, ${KILLS} times in a row`, async () => {
    const { auth, backend } = world.instances[0];
    const person = await world.session();
    let token = person.refreshToken;
    for (let round = 0; round < KILLS; round++) {
      expect(await dieWhileRefreshing(token)).toBe("SIGKILL");
      const { models } = backend.database;
      const row = await models.session.findUniqueOrThrow({ where: { id: person.sessionId } });
      expect(row).toMatchObject({ generation: 2 * round + 1, graceEndsAt: null });
      // The user returns an hour later, in two tabs.
      world.clock.aheadMs += 3_600_000;
      const [one, two] = await Promise.all([
        auth.refresh(fromNative(token)),
        auth.refresh(fromNative(token)),
      ]);
      expect(one.refreshToken).toBe(two.refreshToken);
      token = (await auth.refresh(fromNative(one.refreshToken))).refreshToken;
      await auth.close();
    }
    const row = await backend.database.models.session.findUniqueOrThrow({
      where: { id: person.sessionId },
    });
    expect(row).toMatchObject({ generation: 2 * KILLS, revokedAt: null });
  }, 900_000);
});
