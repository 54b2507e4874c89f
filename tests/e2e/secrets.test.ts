// A configured secret that somebody else puts into a message does not reach the log of the running program.
import { beforeAll, expect, test } from "vitest";
import { EMBEDDED } from "../support/databases.ts";
import { freePort } from "../support/ports.ts";
import { spawnServer } from "../support/process.ts";
import { serverEnv } from "../support/server-env.ts";
import { use } from "../support/use.ts";

/** Like no key of a vendor, so that only its being configured gives it away. */
const SECRET = "plum-orchard-7f3a9c51e2d84b06-lantern";

const opened = use(() => EMBEDDED.open());
beforeAll(() => opened.backend.close());

test("the log of a process holds no configured secret, also where a caller sends it", async () => {
  const env = serverEnv({ ...opened.env, LOG_LEVEL: "info", JWT_SECRET: SECRET });
  const server = spawnServer({ ...env, PORT: String(await freePort()) });
  await server.ready();
  await fetch(`${server.url}/api/nothing/${SECRET}`, { headers: { "x-request-id": "the-one" } });
  server.child.kill("SIGTERM");
  await server.exited;
  expect(server.output()).toContain("the-one");
  expect(server.output()).not.toContain(SECRET);
});
