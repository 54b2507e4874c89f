// Clients generated from the served OpenAPI document compile and work against the server.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestApp, type TestApp } from "../../support/server.ts";
import { commandOf, here, root, run } from "./tools.ts";

/** How to make each generator create a client in `generated/`. */
const GENERATORS = {
  "openapi-typescript": (document: string) =>
    run(commandOf("openapi-typescript"), [document, "-o", "generated/api.ts"], {
      cwd: folderOf("openapi-typescript"),
    }),
  orval: (document: string) =>
    run(
      commandOf("orval"),
      ["--input", document, "--output", "generated/api.ts", "--client", "fetch"],
      { cwd: folderOf("orval") },
    ),
  "hey-api": (document: string) =>
    run(commandOf("openapi-ts"), ["-i", document, "-o", "generated"], {
      cwd: folderOf("hey-api"),
    }),
};

const folder = mkdtempSync(join(tmpdir(), "skywork-openapi-clients-"));
const document = join(folder, "openapi.json");

function folderOf(generator: string): string {
  return join(folder, generator);
}

let server: TestApp;
let token: string;
beforeAll(async () => {
  server = await openTestApp();
  server.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
  token = (await server.signIn("generated@example.com")).accessToken;
  writeFileSync(document, await (await fetch(`${server.url}/api/openapi.json`)).text());
  writeFileSync(join(folder, "package.json"), `{ "type": "module" }`);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
}, 60_000);
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const COMPILER_OPTIONS = {
  strict: true,
  noEmit: true,
  allowImportingTsExtensions: true,
  target: "es2022",
  module: "esnext",
  moduleResolution: "bundler",
  lib: ["es2023", "dom", "dom.iterable"],
  types: ["node"],
  skipLibCheck: true,
};

describe.each(Object.entries(GENERATORS))("%s", (name, generate) => {
  test("returns a client that compiles and works", async () => {
    const place = folderOf(name);
    mkdirSync(place);
    const generated = await generate(document);
    expect([generated.code, generated.code === 0 ? "" : generated.output]).toEqual([0, ""]);
    copyFileSync(join(here, "consumers", `${name}.ts`), join(place, "consumer.ts"));
    writeFileSync(
      join(place, "tsconfig.json"),
      JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files: ["consumer.ts"] }),
    );
    const compiled = await run(join(root, "node_modules/typescript/bin/tsc"), ["-p", "."], {
      cwd: place,
    });
    expect(compiled.output).toBe("");
    const worked = await run(join(root, "node_modules/tsx/dist/cli.mjs"), ["consumer.ts"], {
      cwd: place,
      env: { API_URL: server.url, ACCESS_TOKEN: token, KEY: `generated-${name}` },
    });
    expect(worked.output).toBe(worked.stdout);
    expect(JSON.parse(worked.stdout)).toEqual({
      email: "generated@example.com",
      total: expect.any(Number) as number,
      charged: 1,
      refusedField: "feature",
      unknownRun: "NOT_FOUND",
      text: expect.stringMatching(/\S/) as string,
      outcome: "completed",
    });
  }, 60_000);
});
