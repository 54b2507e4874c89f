// A command that Stripe refuses names the call and the remedy, and shows neither a key nor a stack.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type StripeSandbox,
  startStripeSandbox,
} from "../../../server/sandbox/src/stripe/server.ts";
import { runCommand } from "../../support/process.ts";

const KEY = "sk_test_commandErrors0000";
let folder: string;
let sandbox: StripeSandbox;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "skywork-command-"));
  sandbox = await startStripeSandbox({ secretKey: KEY, webhookSecret: "whsec_commandErrors" });
  expect(await run("migrate")).toMatchObject({ code: 0 });
});
afterAll(async () => {
  await sandbox.close();
  await rm(folder, { recursive: true, force: true });
});

const run = (
  command: string,
  database: Record<string, string> = { DATABASE_URL: `file:${join(folder, "commands.db")}` },
) =>
  runCommand(
    command,
    {
      NODE_ENV: "test",
      ...database,
      JWT_SECRET: "Zk3v9QmT1xW7rB5nC8yL2pH6sD4fG0aJ",
      REFRESH_TOKEN_SECRET: "pL2mK9jN4hB7gV1cF6xD3zS8aQ5wE0rT",
      STRIPE_SECRET_KEY: KEY,
      STRIPE_WEBHOOK_SECRET: "whsec_commandErrors",
      STRIPE_API_BASE: sandbox.url,
    },
    folder,
  );

it("names the call, what Stripe said and what to do when the key is refused", async () => {
  sandbox.control.misbehave({
    fault: "500",
    path: "/v1/",
    times: 20,
    error: {
      status: 401,
      type: "invalid_request_error",
      message: `Invalid API Key provided: ${KEY}`,
    },
  });
  const { code, err } = await run("stripe-sync");
  sandbox.control.wellBehaved();
  expect(code).toBe(1);
  expect(err).toContain("products.update");
  expect(err).toContain("Invalid API Key provided");
  expect(err).toContain("copy the key from https://dashboard.stripe.com/apikeys");
  expect(err).not.toContain(KEY);
  expect(err).not.toMatch(/\n\s+at /);
  expect(err).not.toContain("DATABASE_URL is unset");
});

it("tells the same of what reconcile could not mend", async () => {
  sandbox.control.misbehave({
    fault: "500",
    path: "/v1/events",
    times: 20,
    error: {
      status: 403,
      type: "invalid_request_error",
      message: "The provided key lacks permissions.",
    },
  });
  const { code, out } = await run("reconcile");
  sandbox.control.wellBehaved();
  expect(code).toBe(1);
  expect(out).toMatch(/PROBLEM +events: Stripe, events\.list: .*lacks permissions/);
  expect(out).toContain("has no permission for events.list");
});

// Run without the server's variables, or with a wrong path in them, it would otherwise call an empty database sound.
it("says which database it is about when none was named", async () => {
  const { code, err } = await run("doctor", {});
  expect(code).toBe(0);
  expect(err).toContain("DATABASE_URL is unset: this is about file:./.data/skywork.db.");
});

it.each(["doctor", "reconcile", "stripe-sync"])("%s makes no missing database", async (command) => {
  for (const file of ["missing.db", "no-folder/missing.db"]) {
    const path = join(folder, file);
    const { code, out, err } = await run(command, { DATABASE_URL: `file:${path}` });
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain(`The database file ${path} does not exist`);
    expect(err).toContain("npm run prisma:migrate");
    expect(existsSync(path)).toBe(false);
  }
  expect(existsSync(join(folder, "no-folder"))).toBe(false);
});
