// Backup and point-in-time restore as in docs/operations/backup-and-restore.md, and what reconcile finds afterwards.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Sandbox } from "../../server/sandbox/src/sandbox.ts";
import { debianMariadb } from "../support/engines/programs.ts";
import { freePort } from "../support/ports.ts";
import { startStandIns } from "../support/process.ts";
import { createSqlServer, type SqlServer } from "../support/engines/sql-server.ts";
import { type SignedIn, signIn } from "../support/server.ts";
import { createServerLives, type ServerLives } from "./server-crash/server-lives.ts";
import { serverEnv } from "../support/server-env.ts";

const DATABASE = "skywork";
const GUIDE = "docs/operations/backup-and-restore.md";
const guide = readFileSync(fileURLToPath(new URL(`../../${GUIDE}`, import.meta.url)), "utf8");
const backups = mkdtempSync(join(tmpdir(), "skywork-backups-"));

let database: SqlServer;
let sandbox: Sandbox;
let server: ServerLives;

beforeAll(async () => {
  database = await createSqlServer({
    program: debianMariadb(),
    port: await freePort(),
    withTables: true,
    settings: settingsOfTheGuide(),
  });
  await database.start();
  const standIns = await startStandIns(await freePort());
  sandbox = standIns.sandbox;
  server = createServerLives(
    serverEnv({ DATABASE_URL: `${database.url}${DATABASE}`, ...standIns.env }),
  );
});
afterAll(async () => {
  await server.close();
  await sandbox.close();
  await database.close();
  rmSync(backups, { recursive: true, force: true });
});

test("a dropped database comes back to the second; reconcile brings what was paid after it", async () => {
  await server.start();
  const user = await signIn(server.url.replace("127.0.0.1", "localhost"), "kept@example.com");
  await buy(user, "pkg_small");
  await spend(user, "in-the-dump");
  guideRuns("Every night: a dump");

  // Another day and night, so that the copied logs begin before the dump that will be restored.
  await spend(user, "on-the-first-day");
  guideRuns("All day: the binary log");
  await database.query("FLUSH BINARY LOGS");
  await spend(user, "in-the-second-log");
  guideRuns("Every night: a dump");
  guideRuns("All day: the binary log");

  await buy(user, "pkg_medium");
  await spend(user, "in-the-binary-log");
  const kept = await balanceOf(user);
  const until = await afterThisSecond();

  await buy(user, "pkg_large");
  await spend(user, "after-the-last-good-second");
  guideRuns("All day: the binary log");
  expect(await server.stop()).toBe(0);
  await database.query(`DROP DATABASE ${DATABASE}`);

  guideRuns("Restore", { UNTIL: until });
  const rows = await database.query<{ credits: number }>(
    `SELECT credits FROM ${DATABASE}.users WHERE email = 'kept@example.com'`,
  );
  expect(Number(rows[0]?.credits)).toBe(kept);
  expect((await server.command("doctor")).output).toContain("The ledger is sound");
  const reconciled = await server.command("reconcile");
  expect(reconciled.code, reconciled.output).toBe(0);
  expect((await server.command("doctor")).output).toContain("The ledger is sound");

  await server.start();
  const again = await signIn(server.url.replace("127.0.0.1", "localhost"), "kept@example.com");
  expect(again.userId).toBe(user.userId);
  expect(await balanceOf(again), "the purchase of the lost time, without its spend").toBe(
    kept + 1_500,
  );
  // A key from before the restore is still known, so a retry is not charged twice.
  expect(await spend(again, "in-the-binary-log")).toMatchObject({ replayed: true });
  expect(await server.stop()).toBe(0);
});

/** The server settings that the guide asks for. */
function settingsOfTheGuide(): Record<string, string> {
  const block = /```ini\n\[mysqld\]\n([\s\S]*?)```/.exec(guide)?.[1] ?? "";
  const pairs = block.split("\n").flatMap((line) => {
    const [name, value] = line.split(" = ");
    return name !== undefined && value !== undefined ? [[name, value] as const] : [];
  });
  expect(pairs.length).toBeGreaterThan(3);
  return { server_id: "1", ...Object.fromEntries(pairs) };
}

/** Runs the shell blocks under a heading of the guide verbatim, except our own commands, which need this build. */
function guideRuns(heading: string, env: Record<string, string> = {}): void {
  const section = guide.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  const blocks = [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
  const commands = blocks.filter((block) => !block.startsWith("npm run"));
  expect(commands.length, `commands under ${heading}`).toBeGreaterThan(0);
  for (const command of commands)
    execFileSync("bash", ["-euo", "pipefail", "-c", command], {
      stdio: ["ignore", "inherit", "inherit"],
      env: {
        PATH: process.env["PATH"] ?? "",
        CLIENT: `--no-defaults --host=127.0.0.1 --port=${database.port} --user=root`,
        DATABASE,
        BACKUPS: backups,
        ...env,
      },
    });
}

/** Returns the database's time once the current second is over: point-in-time recovery is accurate to a second. */
async function afterThisSecond(): Promise<string> {
  const now = async () => {
    const [row] = await database.query<{ now: string }>(
      "SELECT DATE_FORMAT(NOW(), '%Y-%m-%d %H:%i:%s') AS now",
    );
    return row?.now ?? "";
  };
  const begun = await now();
  // Events carry the second of their statement, and recovery excludes the second it is given.
  for (;;) {
    await sleep(50);
    const later = await now();
    if (later !== begun) {
      await sleep(1_100);
      return later;
    }
  }
}

async function buy({ client }: SignedIn, packageId: string): Promise<void> {
  const { sessionId } = await client.payment.checkout.mutate({ packageId });
  sandbox.stripe.control.completeCheckout(sessionId);
  await sandbox.stripe.control.idle();
  expect(await client.payment.confirm.mutate({ sessionId })).toMatchObject({ status: "SUCCESS" });
}

const spend = ({ client }: SignedIn, idempotencyKey: string) =>
  client.credit.spend.mutate({ feature: "chat-flash", idempotencyKey });

async function balanceOf({ client }: SignedIn): Promise<number> {
  return (await client.credit.balance.query()).credits;
}
