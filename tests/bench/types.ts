// The row types.check: what the router's types cost a frontend that is type-checked against `shared`.
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contract } from "../../shared/src/contract.ts";
import { ROOT, TSC } from "./built.ts";
import { summarise } from "./load.ts";
import type { Report } from "./report.ts";

const ROUNDS = 7;

/** Calls of every router whose inputs and outputs are used, as in a frontend. */
const CALLS = `
export async function story(): Promise<(string | number | boolean | null | undefined)[]> {
  const { providers } = await client.auth.config.query();
  const { user } = await client.auth.me.query();
  const { sessions } = await client.auth.sessions.query();
  await client.auth.revokeSession.mutate({ sessionId: sessions[0]?.id ?? "" });
  await client.user.update.mutate({ name: "Ada" });
  const balance = await client.credit.balance.query();
  const spent = await client.credit.spend.mutate({ feature: "chat-pro", idempotencyKey: "key" });
  const history = await client.credit.history.query({ limit: 20 });
  const usage = await client.credit.usage.query({ timeZone: "Europe/Berlin" });
  const { features } = await client.credit.costs.query();
  const { packages } = await client.payment.packages.query();
  const { checkoutUrl } = await client.payment.checkout.mutate({ packageId: packages[0]?.id ?? "" });
  const confirmed = await client.payment.confirm.mutate({ sessionId: "session" });
  const { payments } = await client.payment.history.query({});
  const { subscription } = await client.payment.subscription.query();
  const preview = await client.payment.previewPlanChange.query({ planId: "PRO" });
  await client.payment.changePlan.mutate({ planId: "PRO", previewToken: preview.previewToken });
  const held = await client.service.reserve.mutate({ userId: user.id, feature: "ppt-edit", idempotencyKey: "hold" });
  await client.service.settle.mutate({ holdId: held.holdId, amount: 3 });
  const { users } = await client.admin.users.query({ search: "ada" });
  client.credit.onChange.subscribe(undefined, { onData: (change: { available: number }) => change.available });
  return [
    providers[0]?.url, user.email, balance.grants[0]?.remaining, spent.replayed, history.logs[0]?.amount, usage.runsOutOn,
    features[0]?.credits, checkoutUrl, confirmed.creditsAdded, payments[0]?.currency, subscription === null, preview.amountDue,
    held.available, users[0]?.email,
  ];
}
`;

/** Names the input and output types of each procedure with tRPC's own helpers, as a frontend does for its props. */
function everyProcedure(): string {
  return Object.entries(contract)
    .flatMap(([router, procedures]) =>
      Object.keys(procedures).map((name) => {
        const path = `["${router}"]["${name}"]`;
        return `export type ${router}_${name} = [Inputs${path}, Outputs${path}];`;
      }),
    )
    .join("\n");
}

const FILES: Readonly<Record<string, string>> = {
  "typed.ts": `import type { AppRouter } from "@skywork/shared";
import { createTRPCClient, httpBatchLink } from "@trpc/client";
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";
type Inputs = inferRouterInputs<AppRouter>;
type Outputs = inferRouterOutputs<AppRouter>;
const client = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: "http://localhost:5000/api/trpc" })] });
${CALLS}
${everyProcedure()}`,
  // Reads the same packages and checks the same calls; only the router is empty.
  "empty.ts": `import { createTRPCClient, httpBatchLink } from "@trpc/client";
import { initTRPC } from "@trpc/server";
import { z } from "zod";
const t = initTRPC.create();
const router = t.router({});
export const nothing = z.object({});
export const known = createTRPCClient<typeof router>({ links: [httpBatchLink({ url: "http://localhost:5000/api/trpc" })] });
declare const client: any;
type Inputs = any;
type Outputs = any;
${CALLS}
${everyProcedure()}`,
};

/** Measures types.check against a consumer of an empty router with the same packages. */
export function benchTypes(report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "skywork-bench-types-"));
  try {
    installShared(folder);
    for (const [name, text] of Object.entries(FILES)) {
      writeFileSync(join(folder, name), text);
      writeFileSync(join(folder, `${name}.json`), projectOf(name));
    }
    const emptyMs: number[] = [];
    const typedMs: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      emptyMs.push(check(folder, "empty.ts"));
      typedMs.push(check(folder, "typed.ts"));
    }
    const empty = summarise(emptyMs);
    const typed = summarise(typedMs);
    const rated = (of: typeof typed) => ({ ...of, opsPerSecond: 1000 / of.p50Ms });
    report.add("types.empty", rated(empty), null);
    const ratio = typed.p50Ms / empty.p50Ms;
    const [few, many] = [countTypes(folder, "empty.ts"), countTypes(folder, "typed.ts")];
    report.add(
      "types.check",
      rated(typed),
      ratio,
      `time, less is better; against a consumer of an empty router; ${many}, against ${few}`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return Promise.resolve();
}

function projectOf(file: string): string {
  return JSON.stringify({
    compilerOptions: {
      module: "NodeNext",
      moduleResolution: "NodeNext",
      target: "ES2022",
      lib: ["ES2023", "DOM", "ESNext.Disposable"],
      types: [],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
    },
    files: [file],
  });
}

/** Installs `shared` as its package would be, next to the packages it imports; the repository's build is untouched. */
function installShared(folder: string): void {
  const installed = join(folder, "node_modules/@skywork/shared");
  mkdirSync(installed, { recursive: true });
  mkdirSync(join(folder, "node_modules/@trpc"));
  for (const name of ["@trpc/server", "@trpc/client", "zod"])
    symlinkSync(join(ROOT, "node_modules", name), join(folder, "node_modules", name));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const dist = join(installed, "dist");
  run(["-p", join(ROOT, "shared/tsconfig.json"), "--outDir", dist]);
  // As in tools/build-shared.mjs: in a package, declarations must refer to the files that exist.
  for (const name of readdirSync(dist).filter((file) => file.endsWith(".d.ts"))) {
    const text = readFileSync(join(dist, name), "utf8");
    const mended = text.replace(/((?:from|import\() ?"\.[^"]*)\.ts"/g, '$1.js"');
    writeFileSync(join(dist, name), mended);
  }
  writeFileSync(
    join(installed, "package.json"),
    readFileSync(join(ROOT, "shared/package.json"), "utf8"),
  );
}

/** Type-checks once; returns the milliseconds. Throws on a type error, because then it measured something else. */
function check(folder: string, file: string): number {
  const startedAt = performance.now();
  run(["-p", join(folder, `${file}.json`), "--pretty", "false"]);
  return performance.now() - startedAt;
}

/** Counts what the checker created, which is unaffected by other programs on the machine. */
function countTypes(folder: string, file: string): string {
  const told = run(["-p", join(folder, `${file}.json`), "--extendedDiagnostics"]);
  const count = (name: string) => new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(told)?.[1] ?? "?";
  return `${count("Types")} types and ${count("Instantiations")} instantiations`;
}

function run(compilerArguments: readonly string[]): string {
  const { status, stdout } = spawnSync(process.execPath, [TSC, ...compilerArguments], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`tsc ${compilerArguments.join(" ")}:\n${stdout}`);
  return stdout;
}
