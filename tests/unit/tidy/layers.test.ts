// The layer rules work: each forbidden import is refused with its message, each legal one passes.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

interface Layer {
  name: string;
  why: string;
}

interface Layers {
  LAYERS: readonly Layer[];
  brokenLayer(
    file: string,
    specifier: string,
    how: { typeOnly: boolean; dynamic: boolean },
  ): Layer | undefined;
}

const root = fileURLToPath(new URL("../../..", import.meta.url));
const { LAYERS, brokenLayer } = (await import(join(root, ".oxlint/layers.mjs"))) as Layers;
const VALUE = { typeOnly: false, dynamic: false };
const TYPE = { typeOnly: true, dynamic: false };
const DYNAMIC = { typeOnly: false, dynamic: true };

/** rule, importing file, import */
const FORBIDDEN: ReadonlyArray<readonly [string, string, string]> = [
  ["router", "server/routers/credit.ts", "../credit/credit.store.ts"],
  ["router", "server/routers/credit.ts", "../ledger/ledger.ts"],
  ["router", "server/routers/auth.ts", "express"],
  ["service", "server/auth/auth.service.ts", "@trpc/server"],
  ["service", "server/auth/auth.service.ts", "express"],
  ["service", "server/auth/session/sessions.ts", "../../../prisma/generated/mysql/client.ts"],
  ["service", "server/auth/auth.service.ts", "../adapters/google/google.ts"],
  ["service", "server/payment/payment.service.ts", "stripe"],
  ["service", "server/payment/payment.service.ts", "./payment.store.ts"],
  ["service and tRPC", "server/payment/sync/sync.ts", "../../trpc/context.ts"],
  ["store", "server/auth/session/session.store.ts", "../../adapters/google/google.ts"],
  ["arctic", "server/http/routes/google.ts", "arctic"],
  ["stripe", "server/http/routes/stripe-webhook.ts", "stripe"],
  ["stripe", "server/cli/commands/stripe-sync.ts", "stripe"],
  ["express", "server/jobs/clock.ts", "express"],
  ["generated clients", "server/http/ready.ts", "../../prisma/generated/sqlite/client.ts"],
  ["generated clients", "server/ledger/audit/audit.ts", "@prisma/client"],
  ["drivers", "server/http/ready.ts", "ioredis"],
  ["drivers", "server/ledger/writer/writer.ts", "mariadb"],
  ["OpenTelemetry", "server/http/traced.ts", "@opentelemetry/api"],
  ["OpenTelemetry", "server/main.ts", "./telemetry/otel.ts"],
  ["ledger", "server/ledger/spend.ts", "../credit/credit.service.ts"],
  ["ledger", "server/ledger/spend.ts", "../config/config.ts"],
  ["ledger rules", "server/ledger/operations/spend.ts", "../store/accounts.store.ts"],
  ["ledger rules", "server/ledger/model/account.ts", "../../database/ports.ts"],
  ["ledger store", "server/ledger/store/accounts.store.ts", "../writer/batch-state.ts"],
  ["database", "server/database/sqlite/open.ts", "../../ledger/ledger.ts"],
  ["database", "server/database/ports.ts", "../kv/ports.ts"],
  ["key-value side", "server/kv/redis/open.ts", "../../database/ports.ts"],
  ["ports", "server/kv/ports.ts", "../lib/dependency-state.ts"],
  ["lib", "server/lib/timeout.ts", "../config/config.ts"],
  ["adapter", "server/adapters/stripe/stripe.ts", "../../ledger/ledger.ts"],
  ["tRPC core", "server/trpc/metered.ts", "../http/middleware.ts"],
  ["tRPC core", "server/trpc/context.ts", "node:http"],
  ["express", "server/trpc/context.ts", "express"],
  ["jobs", "server/jobs/expiry.ts", "../http/middleware.ts"],
  ["sandbox in production", "server/main.ts", "./sandbox/src/sandbox.ts"],
  ["sandbox in production", "server/app.ts", "./sandbox/src/sandbox.ts"],
  ["sandbox", "server/sandbox/src/stripe/api/api.ts", "../../../../lib/errors.ts"],
  ["shared", "shared/src/client.ts", "../../server/errors.ts"],
  ["shared", "shared/src/client.ts", "superjson"],
  ["server's surroundings", "server/app.ts", "@skywork/shared"],
  ["server's surroundings", "server/app.ts", "../tests/support/world.ts"],
  ["frontend", "examples/web/src/main.tsx", "../../../server/routers/app.ts"],
  ["demo", "examples/demo/world.ts", "../../server/app.ts"],
  ["composition root", "server/jobs/run.ts", "../app.ts"],
  ["environment", "server/config/config.ts", "node:process"],
];

const ALLOWED: ReadonlyArray<readonly [string, string, typeof VALUE]> = [
  ["server/routers/credit.ts", "../trpc/trpc.ts", VALUE],
  ["server/routers/credit.ts", "../../shared/src/credit.ts", VALUE],
  ["server/credit/credit.service.ts", "../ledger/ports.ts", VALUE],
  ["server/auth/session/session.store.ts", "../../prisma/generated/mysql/client.ts", TYPE],
  ["server/adapters/google/google.ts", "arctic", VALUE],
  ["server/adapters/stripe/errors.ts", "stripe", VALUE],
  ["server/http/middleware.ts", "express", VALUE],
  ["server/kv/redis/open.ts", "ioredis", VALUE],
  ["server/ledger/writer/writer.ts", "../../database/ports.ts", TYPE],
  ["server/kv/ports.ts", "../lib/dependency-state.ts", TYPE],
  ["server/main.ts", "./sandbox/src/sandbox.ts", DYNAMIC],
  ["server/cli/dev/dev.ts", "../../sandbox/src/sandbox.ts", VALUE],
  ["server/sandbox/test/support.ts", "stripe", VALUE],
  ["examples/demo/world.ts", "../../server/cli/dev/embedded.ts", VALUE],
  ["shared/src/client.ts", "@trpc/client", VALUE],
  ["server/main.ts", "./app.ts", VALUE],
  ["examples/web/src/main.tsx", "@skywork/shared", VALUE],
];

describe("layer rules", () => {
  test.each(FORBIDDEN)("%s: %s may not import %s", (rule, file, specifier) => {
    expect(brokenLayer(file, specifier, VALUE)?.name).toBe(rule);
  });

  test.each(ALLOWED)("%s may import %s", (file, specifier, how) => {
    expect(brokenLayer(file, specifier, how)).toBeUndefined();
  });

  test("every rule has a forbidden example above and a sentence that says why", () => {
    const shown = new Set(FORBIDDEN.map(([rule]) => rule));
    expect(LAYERS.map(({ name }) => name).filter((name) => !shown.has(name))).toEqual([]);
    expect(LAYERS.filter(({ why }) => !/^[A-Za-z].{30,}\.$/.test(why))).toEqual([]);
  });
});

describe("oxlint with the house's plugin and rules", () => {
  const folder = mkdtempSync(join(tmpdir(), "skywork-lint-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function lint(files: Record<string, string>): string {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const { stdout } = spawnSync(
      process.execPath,
      [
        join(root, "node_modules/oxlint/bin/oxlint"),
        "-c",
        join(root, ".oxlintrc.json"),
        "--type-aware",
        "--format",
        "unix",
      ],
      { cwd: folder, encoding: "utf8" },
    );
    return stdout;
  }

  // If a plugin failed to load, the linter might report nothing; these planted faults prove that it runs.
  test("finds each planted fault", () => {
    const report = lint({
      "tsconfig.json": '{ "compilerOptions": { "strict": true, "target": "ES2023" } }',
      "server/auth/auth.service.ts":
        'import { initTRPC } from "@trpc/server";\nexport const t = initTRPC;\n',
      "server/auth/index.ts": "export const nothing = 1;\n",
      "server/auth/all.ts": 'export { nothing } from "./index.ts";\n',
      "server/app.ts": "export const port = process.env.PORT;\n",
      "server/lib/logger.ts": "export default function log(): void {}\n",
      "server/lib/errors.ts": "export function f(x: any): unknown {\n  return x;\n}\n",
      "server/a.ts": 'import { b } from "./b.ts";\nexport const a = (): unknown => b;\n',
      "server/b.ts": 'import { a } from "./a.ts";\nexport const b = (): unknown => a;\n',
      "server/promise.ts":
        "export function go(work: () => Promise<void>): void {\n  work();\n  [1].map(async () => work()).at(0);\n  if (work()) return;\n}\n",
      "server/clean.ts": "export const one = 1;\n",
    });
    const linesOf = (path: string): string =>
      report
        .split("\n")
        .filter((line) => line.startsWith(`${path}:`))
        .join("\n");
    expect(linesOf("server/auth/auth.service.ts")).toContain("knows neither tRPC, Express, Prisma");
    expect(linesOf("server/auth/index.ts")).toContain("a barrel hides");
    expect(linesOf("server/auth/all.ts")).toContain("a barrel hides");
    expect(linesOf("server/app.ts")).toContain("'process.env' is restricted");
    expect(linesOf("server/lib/logger.ts")).toContain("no-default-export");
    expect(linesOf("server/lib/errors.ts")).toContain("no-explicit-any");
    expect(linesOf("server/a.ts")).toContain("no-cycle");
    expect(linesOf("server/promise.ts")).toContain("no-floating-promises");
    expect(linesOf("server/promise.ts")).toContain("no-misused-promises");
    expect(linesOf("server/clean.ts")).toBe("");
  });
});
