// @skywork/shared stands alone: packed as its guide says, installed by a stranger with @trpc/* and zod only, compiled and run.
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
import { FEATURES } from "../../shared/src/features.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "skywork-consumer-"));
const installed = join(folder, "node_modules/@skywork/shared");
const ALLOWED = /^(zod|@trpc\/(server|client))(\/|$)/;

const guideOf = (document: string) => readFileSync(join(root, document), "utf8");

/** The shell block of the guide that begins so. */
function guideBlock(begins: string): string {
  const blocks = guideOf("docs/guides/shared.md").matchAll(/^```sh\n([\s\S]*?)^```/gm);
  const found = Array.from(blocks, ([, block = ""]) => block).find((it) => it.startsWith(begins));
  if (found === undefined) throw new Error(`The guide has no ${begins}`);
  return found;
}

const SKYWORK =
  'import { createClient } from "@skywork/shared";\nconst skywork = createClient({ url: "/api/trpc" });\n';

/** Every document and heading with TypeScript for a client, and what its code takes as given. */
const SNIPPETS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "README.md": { "Use it": "" },
  "docs/getting-started.md": { "From your own code": "" },
  "docs/guides/shared.md": {
    "Plain client": "",
    "TanStack Query": `${SKYWORK}import { type QueryClient, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
declare const queryClient: QueryClient;
`,
    // As expo-secure-store documents them.
    "React Native": `import { createClient } from "@skywork/shared";
declare const SecureStore: {
  getItemAsync(key: string): Promise<string | null>;
  setItemAsync(key: string, value: string): Promise<void>;
};
`,
    "Node.js worker": `import { createClient } from "@skywork/shared";
declare const serviceKey: string, userId: string, jobId: string;
`,
  },
  "shared/README.md": { "@skywork/shared": "" },
};

/** The code of each section of `document`, by its heading. */
function codeOf(document: string): Record<string, string> {
  const code: Record<string, string> = {};
  for (const section of guideOf(document).split(/^#+ /m).slice(1)) {
    const blocks = Array.from(section.matchAll(/^```tsx?\n([\s\S]*?)^```/gm), ([, it = ""]) => it);
    if (blocks.length > 0) code[section.slice(0, section.indexOf("\n"))] = blocks.join("\n");
  }
  return code;
}

interface Compilation {
  readonly module: string;
  readonly moduleResolution: string;
  /** React's own declarations are none of ours. */
  readonly skipLibCheck?: boolean;
}

function compile(options: Compilation, files: readonly string[] = ["uses.ts"]): string {
  const config = {
    compilerOptions: {
      target: "ES2022",
      // tRPC's own declarations use the last one.
      lib: ["ES2023", "DOM", "ESNext.Disposable"],
      types: [],
      strict: true,
      noEmit: true,
      // The package's own declarations are checked too: that is the point.
      skipLibCheck: false,
      ...options,
    },
    files,
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
  const [npm = "", ...pack] = guideBlock("npm pack").trim().split(" ");
  expect(pack.at(-1)).toBe(".");
  execFileSync(npm, [...pack.slice(0, -1), folder, "--silent"], { cwd: root, stdio: "ignore" });
  const tarball = /\.\/(\S+\.tgz)/.exec(guideBlock("npm install"))?.[1] ?? "";
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

  test.each(Object.entries(SNIPPETS))("the code of %s compiles", (document, given) => {
    for (const name of ["react", "@types/react", "@tanstack/react-query"]) {
      const link = join(folder, "node_modules", name);
      mkdirSync(dirname(link), { recursive: true });
      rmSync(link, { force: true });
      symlinkSync(join(root, "node_modules", name), link);
    }
    const code = codeOf(document);
    expect(Object.keys(code)).toEqual(Object.keys(given));
    const files = Object.entries(code).map(([heading, text], index) => {
      const file = `snippet-${index}.ts`;
      writeFileSync(join(folder, file), `${given[heading]}${text}`);
      return file;
    });
    const bundled = { module: "ESNext", moduleResolution: "bundler", skipLibCheck: true };
    expect(compile(bundled, files)).toBe("");
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
    expect(printed.trim()).toBe(`function ${FEATURES.join()}`);
  });

  test("the tarball holds what its package.json says and no tests, secrets or maps to nowhere", () => {
    const stray = readdirSync(installed, { recursive: true, encoding: "utf8" }).filter(
      (path) => !/^(dist|src)(\/[\w.-]+)?$|^package\.json$|^LICENSE$|^README\.md$/.test(path),
    );
    expect(stray).toEqual([]);
  });
});
