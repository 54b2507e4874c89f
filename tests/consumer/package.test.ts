// Owns the proof that @skywork/shared stands alone: packed, installed by a stranger with @trpc/* and zod only, compiled and run.
import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "skywork-consumer-"));
const installed = join(folder, "node_modules/@skywork/shared");
const ALLOWED = /^(zod|@trpc\/(server|client))(\/|$)/;

function compile(options: { module: string; moduleResolution: string }): string {
  const config = {
    compilerOptions: {
      ...options,
      target: "ES2022",
      // tRPC's own declarations use the last one.
      lib: ["ES2023", "DOM", "ESNext.Disposable"],
      types: [],
      strict: true,
      noEmit: true,
      // The package's own declarations are checked too: that is the point.
      skipLibCheck: false,
    },
    files: ["uses.ts"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const { stdout } = spawnSync(
    process.execPath,
    [join(root, "node_modules/typescript/bin/tsc"), "-p", folder, "--pretty", "false"],
    { encoding: "utf8" },
  );
  return stdout.trim();
}

/** Every declaration file reachable from `entry`, with its text, and every package they name. */
function walk(entry: string): { files: Map<string, string>; packages: Set<string> } {
  const files = new Map<string, string>();
  const packages = new Set<string>();
  const queue = [entry];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (files.has(file)) continue;
    const text = readFileSync(file, "utf8");
    files.set(file, text);
    for (const [, specifier = ""] of text.matchAll(
      /(?:from|import\(|import|require\() ?"([^"]+)"/g,
    )) {
      if (specifier.startsWith(".")) {
        queue.push(resolve(dirname(file), specifier.replace(/\.js$/, ".d.ts")));
      } else packages.add(specifier);
    }
    for (const [, reference = ""] of text.matchAll(/<reference (?:types|path)="([^"]+)"/g)) {
      packages.add(reference);
    }
  }
  return { files, packages };
}

beforeAll(() => {
  const packed = execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], {
    cwd: join(root, "shared"),
    encoding: "utf8",
  });
  const tarball = packed.trim().split("\n").at(-1) ?? "";
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", join(folder, tarball), "-C", installed, "--strip-components=1"]);
  mkdirSync(join(folder, "node_modules/@trpc"));
  for (const name of ["@trpc/server", "@trpc/client", "zod"]) {
    symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  copyFileSync(join(root, "tests/consumer/project/uses.ts"), join(folder, "uses.ts"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the packed @skywork/shared", () => {
  test("compiles in a stranger's Node.js project, and refuses each planted mistake", () => {
    expect(compile({ module: "NodeNext", moduleResolution: "NodeNext" })).toBe("");
  });

  test("compiles in a stranger's bundled project", () => {
    expect(compile({ module: "ESNext", moduleResolution: "bundler" })).toBe("");
  });

  test("a planted mistake that went through would be noticed", () => {
    writeFileSync(
      join(folder, "uses.ts"),
      readFileSync(join(root, "tests/consumer/project/uses.ts"), "utf8").replaceAll(
        "mind-reading",
        "chat-pro",
      ),
    );
    expect(compile({ module: "NodeNext", moduleResolution: "NodeNext" })).toContain("TS2578");
  });

  test("its declarations name zod and tRPC and nothing else", () => {
    const { files, packages } = walk(join(installed, "dist/index.d.ts"));
    expect(files.size).toBeGreaterThan(5);
    expect([...packages].filter((name) => !ALLOWED.test(name))).toEqual([]);
    const outside = [...files.keys()].filter((file) => !file.startsWith(join(installed, "dist")));
    expect(outside).toEqual([]);
  });

  test("its declarations speak of neither Prisma, Express nor the server's files", () => {
    const { files } = walk(join(installed, "dist/index.d.ts"));
    const leaks = [...files].flatMap(([file, text]) =>
      text
        // What a comment tells a reader is no dependency.
        .replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "")
        .split("\n")
        .filter((line) => /prisma|express|stripe\.|ioredis|server\/|node_modules/i.test(line))
        .filter((line) => !/@trpc\/server/.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
    expect(leaks).toEqual([]);
  });

  test("its JavaScript imports zod and tRPC and nothing else, and runs", () => {
    const imports = readdirSync(join(installed, "dist"))
      .filter((name) => name.endsWith(".js"))
      .flatMap((name) => [
        ...readFileSync(join(installed, "dist", name), "utf8").matchAll(/from "([^".][^"]*)"/g),
      ])
      .map(([, specifier = ""]) => specifier);
    expect(imports.filter((name) => !ALLOWED.test(name))).toEqual([]);
    const printed = execFileSync(
      process.execPath,
      [
        "--input-type=module",
        "--eval",
        'import * as shared from "@skywork/shared"; console.log(typeof shared.createClient, shared.FEATURES.join());',
      ],
      { cwd: folder, encoding: "utf8" },
    );
    expect(printed.trim()).toBe("function chat-flash,chat-pro,ppt-generate,ppt-edit");
  });

  test("the tarball holds what its package.json says and no tests, secrets or maps to nowhere", () => {
    const stray = readdirSync(installed, { recursive: true, encoding: "utf8" }).filter(
      (path) => !/^(dist|src)(\/[\w.-]+)?$|^package\.json$|^LICENSE$|^README\.md$/.test(path),
    );
    expect(stray).toEqual([]);
  });
});
