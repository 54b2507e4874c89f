// The OpenAPI document passes common linters without a warning.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createOpenApi } from "../../../server/http/openapi/openapi.ts";
import { commandOf, here, run } from "./tools.ts";

const folder = mkdtempSync(join(tmpdir(), "skywork-openapi-lint-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs each linter on a document; the result has one line per problem. */
const LINTERS = {
  async spectral(file: string): Promise<unknown[]> {
    const { stdout } = await run(
      commandOf("spectral"),
      [
        "lint",
        "-q",
        "-f",
        "json",
        "-r",
        join(here, ".spectral.yaml"),
        "--fail-severity",
        "hint",
        file,
      ],
      { cwd: folder },
    );
    return JSON.parse(stdout) as unknown[];
  },
  async redocly(file: string): Promise<unknown[]> {
    const { stdout } = await run(
      commandOf("redocly"),
      ["lint", "--format", "json", "--config", join(here, "redocly.yaml"), file],
      { cwd: folder },
    );
    return (JSON.parse(stdout.slice(stdout.indexOf("{"))) as { problems: unknown[] }).problems;
  },
};

function write(name: string, document: object): string {
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify(document));
  return file;
}

describe.each(["spectral", "redocly"] as const)("%s", (linter) => {
  test("returns no problem for the document of a local and of a public server", async () => {
    const found = await Promise.all([
      LINTERS[linter](write(`${linter}-local.json`, createOpenApi("http://localhost:5000"))),
      LINTERS[linter](write(`${linter}-public.json`, createOpenApi("https://api.skywork.test"))),
    ]);
    expect(found).toEqual([[], []]);
  }, 60_000);

  test("returns problems for a document with an operation nobody can call", async () => {
    const document = createOpenApi("http://localhost:5000");
    const operation = document.paths["/api/ai/runs/{runId}"]?.["get"];
    delete operation?.parameters;
    expect(await LINTERS[linter](write(`${linter}-broken.json`, document))).not.toEqual([]);
  }, 60_000);
});
