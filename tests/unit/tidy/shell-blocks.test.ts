// Every shell block of the documents starts what exists, and a suite runs it, or the table below says why none does.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { VARIABLES } from "../../../server/config/variables.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const read = (file: string) => readFileSync(join(ROOT, file), "utf8");

interface Row {
  readonly document: string;
  /** The beginning of the block. */
  readonly begins: string;
  /** The file that runs it, and words of that file that prove it; or why nothing runs it. */
  readonly runBy: readonly [file: string, words: string] | string;
}

const FIRST_HOUR = "tests/consumer/first-hour.test.ts";
const BACKUP = "docs/operations/backup-and-restore.md";
const BACKUP_TEST = "tests/faults/backup-restore.test.ts";

const TABLE: readonly Row[] = [
  { document: "README.md", begins: "npm install", runBy: [FIRST_HOUR, '["run", "dev"]'] },
  {
    document: "CONTRIBUTING.md",
    begins: "npm install",
    runBy: [".ci/run", "npm run --silent demo"],
  },
  {
    document: "docs/getting-started.md",
    begins: "npm install",
    runBy: [FIRST_HOUR, '["run", "dev"]'],
  },
  {
    document: "docs/getting-started.md",
    begins: "npm run build -w shared",
    runBy: [FIRST_HOUR, 'blockOf("docs/getting-started.md", "npm run build -w shared")'],
  },
  {
    document: "docs/guides/add-a-feature.md",
    begins: "npm run types:write",
    runBy: ["tests/consumer/add-a-feature.test.ts", '"server/http/openapi/write-reference.ts"'],
  },
  {
    document: "docs/guides/deploy.md",
    begins: "npm ci\n",
    runBy: [".ci/production.mjs", 'guideBlock("npm ci\\n")'],
  },
  {
    document: "docs/guides/deploy.md",
    begins: "NODE_ENV=production node --env-file=",
    runBy: [".ci/production.mjs", 'guideBlock("NODE_ENV=production node")'],
  },
  ...["npm run prisma:migrate", "npm run doctor"].map((command) => ({
    document: "docs/guides/move-from-the-ancestor.md",
    begins: `DATABASE_URL=mysql://root@127.0.0.1:3306/skywork ${command}`,
    runBy: [FIRST_HOUR, command] as const,
  })),
  {
    document: "docs/guides/shared.md",
    begins: "npm pack",
    runBy: ["tests/consumer/package.test.ts", 'guideBlock("npm pack")'],
  },
  {
    document: "docs/guides/shared.md",
    begins: "npm install ./skywork-shared",
    runBy: ["tests/consumer/package.test.ts", '"tar", ["-xzf"'],
  },
  {
    document: "docs/guides/shared.md",
    begins: "tar -xzf skywork-shared",
    runBy: "it would publish",
  },
  {
    document: "docs/guides/stripe.md",
    begins: "npm run stripe:sync",
    runBy: ["tests/integration/payment/command-errors.test.ts", '"stripe-sync"'],
  },
  { document: BACKUP, begins: "mariadb-dump", runBy: [BACKUP_TEST, "Every night: a dump"] },
  { document: BACKUP, begins: "first=", runBy: [BACKUP_TEST, "All day: the binary log"] },
  { document: BACKUP, begins: "mariadb $CLIENT", runBy: [BACKUP_TEST, '"Restore"'] },
  { document: BACKUP, begins: "from=", runBy: [BACKUP_TEST, '"Restore"'] },
  { document: BACKUP, begins: "npm run doctor", runBy: [BACKUP_TEST, 'command("reconcile")'] },
  {
    document: "docs/operations/runbook.md",
    begins: "curl -s localhost:5000/ready",
    runBy: [BACKUP_TEST, 'command("doctor")'],
  },
  { document: "docs/operations/runbook.md", begins: "mysql -e", runBy: "it is read on a screen" },
  {
    document: "docs/operations/runbook.md",
    begins: 'curl -s "$AI_BASE_URL/models"',
    runBy: "it asks the operator's own provider",
  },
  {
    document: "docs/operations/runbook.md",
    begins: "jq -r",
    runBy: ["tests/integration/http/request-log.test.ts", "ip"],
  },
  {
    document: "docs/performance.md",
    begins: "npm run bench:write",
    runBy: [".ci/run", "bench -- --engine mysql --brief"],
  },
];

/** Programs on the operator's own machine. */
const PROGRAMS = [
  "cd",
  "curl",
  "gunzip",
  "jq",
  "mariadb",
  "mariadb-binlog",
  "mariadb-dump",
  "mv",
  "mysql",
  "tar",
];

const DOCUMENTS = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

const BLOCKS = DOCUMENTS.flatMap((document) =>
  Array.from(read(document).matchAll(/^```sh\n([\s\S]*?)^```/gm), ([, block = ""]) => ({
    document,
    block,
  })),
);

const ASSIGNMENT = /^([A-Z][A-Z0-9_]*)=\S* ?/;

/** Whether a block only contains settings for `.env`, and so starts nothing. */
const isSettings = (block: string) =>
  block
    .trim()
    .split("\n")
    .every((line) => line.replace(ASSIGNMENT, "") === "");

const isVariable = (name: string) =>
  Object.hasOwn(VARIABLES, name) ||
  (name === "VITE_API_URL" && read("examples/web/vite.config.ts").includes(name));

interface Manifest {
  readonly version: string;
  readonly scripts?: Record<string, string>;
  readonly workspaces?: readonly string[];
  readonly devDependencies?: Record<string, string>;
}
const manifestOf = (folder: string) => JSON.parse(read(join(folder, "package.json"))) as Manifest;

/** npm's own commands that the documents use. */
const NPM = ["ci", "install", "pack", "pkg", "prune", "publish"];

function npmProblems([command = "", ...words]: readonly string[]): string[] {
  const flag = words.indexOf("-w");
  const workspace = flag < 0 ? "." : (words[flag + 1] ?? "");
  if (workspace !== "." && !manifestOf(".").workspaces?.includes(workspace))
    return [`no workspace ${workspace}`];
  if (NPM.includes(command)) {
    const tarball = words.find((word) => word.endsWith(".tgz"));
    const packed = `./skywork-shared-${manifestOf("shared").version}.tgz`;
    return tarball === undefined || tarball === packed ? [] : [`not ${packed}`];
  }
  const script = command === "run" ? (words[0] ?? "") : command;
  return Object.hasOwn(manifestOf(workspace).scripts ?? {}, script) ? [] : [`no script ${script}`];
}

/** Returns what a line of a block refers to that does not exist. */
function problemsOf(line: string, document: string): string[] {
  return line
    .replace(/\s# .*$|\s{2,}#.*$/, "")
    .split(" && ")
    .flatMap((given) => {
      let command = given.trim();
      const unknown: string[] = [];
      for (let match = ASSIGNMENT.exec(command); match !== null; match = ASSIGNMENT.exec(command)) {
        if (!isVariable(match[1] ?? "")) unknown.push(`no variable ${match[1]}`);
        command = command.slice(match[0].length);
      }
      // Assigns a variable of the block itself.
      command = command.replace(/^[a-z]+=\$\(/, "");
      const [program = "", ...words] = command.split(" ");
      if (program === "node") {
        const file = words.find((word) => !word.startsWith("-")) ?? "";
        return existsSync(join(ROOT, file)) ? unknown : [...unknown, `no file ${file}`];
      }
      if (program === "npm") return [...unknown, ...npmProblems(words)];
      if (program === "npx") {
        const [tool = "", file = ""] = words;
        if (!Object.hasOwn(manifestOf(".").devDependencies ?? {}, tool)) unknown.push(`no ${tool}`);
        const isThere = existsSync(join(ROOT, file)) || read(document).includes(`\`${file}\``);
        return isThere ? unknown : [...unknown, `no file ${file}`];
      }
      return command === "" || [...PROGRAMS, "zgrep"].includes(program)
        ? unknown
        : [...unknown, `no program ${program}`];
    });
}

const rowsOf = (document: string, block: string) =>
  TABLE.filter((row) => row.document === document && block.startsWith(row.begins));

describe("shell blocks of the documents", () => {
  test.each(BLOCKS)("finds no mistake in $document: $block", ({ document, block }) => {
    expect(
      block
        .trim()
        .split("\n")
        .flatMap((line) => problemsOf(line, document)),
    ).toEqual([]);
    expect(rowsOf(document, block), "rows of the table above").toHaveLength(
      isSettings(block) ? 0 : 1,
    );
  });

  test.each(TABLE)("the row of $document, $begins, is true", ({ document, begins, runBy }) => {
    expect(
      BLOCKS.filter((it) => it.document === document && it.block.startsWith(begins)),
    ).not.toEqual([]);
    if (typeof runBy !== "string") expect(read(runBy[0])).toContain(runBy[1]);
  });

  test.each([
    ["npm run gone", "no script gone"],
    ["npm ci && npm run build -w examples/gone", "no workspace examples/gone"],
    [
      "npm install ./skywork-shared-0.0.0.tgz",
      `not ./skywork-shared-${manifestOf("shared").version}.tgz`,
    ],
    ["DATABASE_ADDRESS=x npm start", "no variable DATABASE_ADDRESS"],
    ["npx tsx gone.ts # comment", "no file gone.ts"],
    ["node --env-file=x server/gone.mjs doctor", "no file server/gone.mjs"],
    ["yarn dev", "no program yarn"],
  ])("finds the mistake in: %s", (line, problem) => {
    expect(problemsOf(line, "README.md")).toEqual([problem]);
  });

  test("containers and commands that the text names are there", () => {
    const services = Array.from(
      read("compose.yaml").matchAll(/^ {2}(\w+):$/gm),
      ([, name]) => name,
    );
    const text = DOCUMENTS.map(read).join("\n");
    const named = Array.from(
      text.matchAll(/docker compose (?:run --rm|exec|logs) (\w+)/g),
      ([, name]) => name,
    );
    expect(named).not.toEqual([]);
    expect(named.filter((name) => !services.includes(name))).toEqual([]);
  });
});
