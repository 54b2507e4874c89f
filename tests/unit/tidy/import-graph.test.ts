// The import graph by layer, type imports included: prints it, and fails on an import against the order of layers.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** From the top down: a file may import from its own layer and those below (README "Architecture"). */
const LAYERS: readonly (readonly [name: string, files: RegExp])[] = [
  ["main", /^server\/(main|stop)\.ts$/],
  ["cli", /^server\/cli\//],
  ["app", /^server\/app\.ts$/],
  ["cluster, http, jobs, health, telemetry", /^server\/(cluster|http|jobs|health|telemetry)\//],
  ["routers", /^server\/routers\//],
  ["trpc", /^server\/trpc\//],
  ["adapters", /^server\/adapters\//],
  ["features", /^server\/(auth|user|credit|payment|workers|admin|ai)\//],
  ["ledger", /^server\/ledger\//],
  ["infrastructure", /^server\/infrastructure\.ts$/],
  ["database, kv", /^server\/(database|kv)\//],
  ["config", /^server\/config\//],
  ["lib", /^server\/lib\//],
  ["shared", /^shared\/src\//],
];

interface Arrow {
  readonly from: string;
  readonly to: string;
}

function layerOf(file: string): number {
  return LAYERS.findIndex(([, files]) => files.test(file));
}

const files = execFileSync("git", ["ls-files", "server", "shared/src"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((file) => file.endsWith(".ts") && layerOf(file) >= 0 && existsSync(root + file));

function importsOf(file: string): Arrow[] {
  const text = readFileSync(root + file, "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)]
    .map(([, specifier = ""]) => posix.join(posix.dirname(file), specifier))
    .filter((to) => layerOf(to) >= 0)
    .map((to) => ({ from: file, to }));
}

const arrows = files.flatMap(importsOf);

/** Formats one line per layer: how many imports go to which layer. */
function graph(): string {
  return LAYERS.map(([name], index) => {
    const counts = new Map<number, number>();
    for (const { from, to } of arrows)
      if (layerOf(from) === index && layerOf(to) !== index)
        counts.set(layerOf(to), (counts.get(layerOf(to)) ?? 0) + 1);
    const targets = [...counts].sort(([one], [other]) => one - other);
    return `${name} -> ${targets.map(([to, count]) => `${LAYERS[to]?.[0]} (${count})`).join(", ")}`;
  }).join("\n");
}

describe("the import graph", () => {
  test("has no arrow against the order of the layers", () => {
    console.log(graph());
    const wrong = arrows
      .filter(({ from, to }) => layerOf(to) < layerOf(from))
      .map(({ from, to }) => `${from} -> ${to}`);
    expect(wrong).toEqual([]);
  });

  test("covers every file of the server but the sandbox", () => {
    const all = execFileSync("git", ["ls-files", "server"], { cwd: root, encoding: "utf8" });
    const left = all
      .split("\n")
      .filter((file) => file.endsWith(".ts") && !file.startsWith("server/sandbox/"))
      .filter((file) => layerOf(file) < 0);
    expect(left).toEqual([]);
    expect(arrows.length).toBeGreaterThan(300);
  });
});
