// Every command of the contract exists and starts something that exists.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));

interface Manifest {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;

const COMMANDS = [
  "dev",
  "demo",
  "test",
  "test:browser",
  "test:faults",
  "build",
  "start",
  "prisma:generate",
  "prisma:migrate",
  "prisma:studio",
  "prisma:derive",
  "doctor",
  "reconcile",
  "stripe:sync",
  "sandbox",
  "bench",
];

const LAUNCHER = join(root, "server/cli/run.mjs");

/** Whether a process can be made the first one of its own PID namespace on this machine. */
const canBeFirst = spawnSync("unshare", ["--pid", "--fork", "true"]).status === 0;

describe("commands", () => {
  test("image, systemd unit and benchmark start the server with the flags of npm start", () => {
    const flags = manifest.scripts["start"]?.match(/--\S+/g) ?? [];
    expect(flags).toHaveLength(2);
    const starters = ["Dockerfile", "examples/deploy/systemd/skywork.service"];
    for (const file of [...starters, "tests/bench/child.ts", "package.json"])
      for (const flag of flags)
        expect(readFileSync(join(root, file), "utf8"), file).toContain(flag);
    expect(manifest.scripts["bench"]?.match(/--\S+/g)).toEqual(flags);
  });

  test.each(COMMANDS)("npm run %s starts a file that is there", (name) => {
    const script = manifest.scripts[name] ?? "";
    const file = /^(?:exec )?(?:node|tsx) (?:--\S+ )*(\S+)/.exec(script)?.[1] ?? "";
    expect(existsSync(join(root, file)) ? file : `${script}: no such file`).toBe(file);
    expect(file).not.toBe("");
    const command = /cli\/run\.mjs (\S+)/.exec(script)?.[1];
    if (command === undefined) return;
    const source = command === "start" ? "server/main.ts" : `server/cli/commands/${command}.ts`;
    expect(existsSync(join(root, source)) ? source : `${source} is missing`).toBe(source);
  });

  test("the launcher names its commands when it is given none of them", () => {
    const { status, stderr } = spawnSync(process.execPath, [LAUNCHER, "constructor"], {
      encoding: "utf8",
    });
    expect(status).toBe(2);
    expect(stderr).toContain("start|doctor|migrate|reconcile|stripe-sync");
  });

  test.each(["doctor -- --full", "reconcile -- --days 7", "stripe:sync", "prisma:migrate"])(
    "the launcher understands what the runbook puts after `npm run`: %s",
    (line) => {
      const { status, stderr } = spawnSync(process.execPath, [LAUNCHER, ...line.split(" ")], {
        encoding: "utf8",
        cwd: tmpdir(),
        // The launcher gets past the arguments and refuses this environment.
        env: { NODE_ENV: "production", DATABASE_URL: "nowhere" },
      });
      expect(stderr).not.toContain("Usage");
      expect(stderr).toContain("DATABASE_URL");
      expect(status).toBe(1);
    },
  );

  test.each(["", " ", "test"])(
    "the launcher starts in production where NODE_ENV is blank: %j",
    (given) => {
      const folder = mkdtempSync(join(tmpdir(), "launcher-"));
      const [launcher, main] = ["server/cli/run.mjs", "dist/server/main.js"];
      cpSync(LAUNCHER, join(folder, launcher));
      mkdirSync(join(folder, "dist/server"), { recursive: true });
      writeFileSync(join(folder, main), "console.log(process.env.NODE_ENV)");
      const { stdout } = spawnSync(process.execPath, [join(folder, launcher), "start"], {
        encoding: "utf8",
        env: { NODE_ENV: given },
      });
      rmSync(folder, { recursive: true });
      expect(stdout.trim()).toBe(given.trim() || "production");
    },
  );

  test.runIf(canBeFirst).each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)(
    "%s ends a command that is process 1, as in a container",
    async (signal, expected) => {
      // The command waits here, for an answer that never comes.
      const database = createServer().listen(0, "127.0.0.1");
      await once(database, "listening");
      const { port } = database.address() as AddressInfo;
      const asked = once(database, "connection");
      const outside = spawn("unshare", ["--pid", "--fork", process.execPath, LAUNCHER, "migrate"], {
        stdio: "ignore",
        env: {
          PATH: process.env["PATH"],
          NODE_ENV: "production",
          DATABASE_URL: `mysql://root@127.0.0.1:${port}/skywork`,
        },
      });
      const exited = once(outside, "exit");
      await asked;
      const { pid } = outside;
      const inside = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
      process.kill(Number(inside), signal);
      expect(await exited).toEqual([expected, null]);
      database.close();
    },
  );

  test("the sandbox's packages are development dependencies, so a pruned installation has none", () => {
    const sandbox = JSON.parse(
      readFileSync(join(root, "server/sandbox/package.json"), "utf8"),
    ) as Manifest;
    expect(sandbox.dependencies).toBeUndefined();
    expect(Object.keys(sandbox.devDependencies)).toContain("oidc-provider");
  });

  test("what production loads is no development dependency, and the other way round", () => {
    const both = Object.keys(manifest.dependencies).filter((name) =>
      Object.hasOwn(manifest.devDependencies, name),
    );
    expect(both).toEqual([]);
    for (const name of ["@prisma/client", "mariadb", "ioredis", "express", "zod", "stripe"]) {
      expect(Object.keys(manifest.dependencies)).toContain(name);
    }
    for (const name of ["prisma", "typescript", "tsx", "vitest"]) {
      expect(Object.keys(manifest.devDependencies)).toContain(name);
    }
  });
});
