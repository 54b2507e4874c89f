// What somebody new does in the first hour, by the documents: `npm run dev`, a first script, an empty database.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { freeAddresses, urlsOf } from "../support/free-addresses.ts";
import { untilSilent } from "../support/until.ts";
import { copyRepository } from "./copy.ts";

const copy = copyRepository();
const PATH = process.env["PATH"] ?? "";

afterAll(() => rmSync(copy, { recursive: true, force: true }));

/** The block of `document` that begins so. */
function blockOf(document: string, begins: string): string {
  const text = readFileSync(join(copy, document), "utf8");
  const blocks = Array.from(text.matchAll(/^```\w+\n([\s\S]*?)^```/gm), ([, block = ""]) => block);
  const found = blocks.find((block) => block.startsWith(begins));
  if (found === undefined) throw new Error(`${document} has no block that begins with ${begins}`);
  return found;
}

const shell = (command: string) =>
  execFileSync("bash", ["-euo", "pipefail", "-c", command], {
    cwd: copy,
    env: { PATH },
    // With a socket as its input bash takes itself for a remote login.
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });

test("npm run dev prints its addresses, all of them answer, the first script lists what is for sale, and Ctrl-C ends them all", async () => {
  const addresses = await freeAddresses();
  const child = spawn("npm", ["run", "dev"], {
    cwd: copy,
    env: { PATH, ...addresses },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  let output = "";
  try {
    await new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (chunk: Buffer) => {
          output += chunk.toString();
          if (output.includes("Ctrl-C stops everything")) resolve();
        });
      void ended.then(() => reject(new Error(output)));
    });
    expect(output).toContain("Skywork is ready");
    const api = `http://localhost:${addresses.PORT}`;
    for (const url of [addresses.FRONTEND_URL, `${api}/api/docs`, `${api}/health`]) {
      expect(output).toContain(url);
      expect((await fetch(url)).status, url).toBe(200);
    }
    const script = blockOf("docs/getting-started.md", "import { createClient }");
    writeFileSync(join(copy, "try.ts"), script.replace("http://localhost:5000", api));
    expect(shell(blockOf("docs/getting-started.md", "npm run build -w shared"))).toContain(
      "pkg_small",
    );
  } finally {
    child.kill("SIGINT");
    await ended;
  }
  for (const url of urlsOf(addresses)) await untilSilent(url);
});

test("prisma:migrate makes an empty database, and the doctor finds it sound", () => {
  const guide = "docs/guides/move-from-the-ancestor.md";
  const address = "DATABASE_URL=mysql://root@127.0.0.1:3306/skywork";
  const here = `DATABASE_URL=file:${join(copy, "moved.db")}`;
  for (const [command, words] of [
    ["npm run prisma:migrate", "applied"],
    ["npm run doctor", "The ledger is sound"],
  ] as const)
    expect(shell(blockOf(guide, `${address} ${command}`).replace(address, here))).toContain(words);
});
