// Owns the rule of which missing servers a test run may do without.
import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { backendCoverage } from "../../support/coverage.ts";

/** Takes connections and hangs up: a server that is there and cannot be used. */
let rude: Server;
let rudePort = 0;

beforeAll(async () => {
  rude = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => rude.listen(0, "127.0.0.1", resolve));
  const address = rude.address();
  rudePort = typeof address === "object" && address !== null ? address.port : 0;
});

afterAll(async () => {
  await new Promise((resolve) => rude.close(resolve));
});

test("a server that was asked for by name and cannot be used is named, and fails the run", async () => {
  const { line, fails } = await backendCoverage({
    TEST_DATABASE_URL: `mysql://root:secret@127.0.0.1:${rudePort}/`,
    TEST_REDIS_URL: "redis://127.0.0.1:1",
  });
  expect(line).toMatch(/^Back ends covered: embedded; not covered: MariaDB \(.+\), Redis \(nobody/);
  expect(line).not.toContain("secret");
  expect(fails).toBe(true);
});
