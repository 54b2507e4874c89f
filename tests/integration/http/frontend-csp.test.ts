// The built reference frontend has a strict Content-Security-Policy, which its own pages comply with.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const WEB = fileURLToPath(new URL("../../../examples/web", import.meta.url));
const outDir = mkdtempSync(join(tmpdir(), "skywork-web-"));
let page = "";
beforeAll(() => {
  const vite = createRequire(join(WEB, "package.json")).resolve("vite/package.json");
  execFileSync(
    process.execPath,
    [join(dirname(vite), "bin/vite.js"), "build", "--outDir", outDir, "--logLevel", "error"],
    {
      cwd: WEB,
      env: { ...process.env, NODE_ENV: "production", VITE_API_URL: "https://api.example.com/" },
    },
  );
  page = readFileSync(join(outDir, "index.html"), "utf8");
});
afterAll(() => rmSync(outDir, { recursive: true, force: true }));

test("the policy is this one, before anything it governs", () => {
  const policy = /<meta http-equiv="Content-Security-Policy" content="([^"]*)"/
    .exec(page)?.[1]
    ?.replaceAll("&#39;", "'");
  expect(policy?.split("; ")).toEqual([
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    "img-src 'self' data: https:",
    "connect-src https://api.example.com",
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  expect(page.indexOf("Content-Security-Policy")).toBeLessThan(page.search(/<(script|link|style)/));
});

test("the page has no script, style or handler of its own that the policy would stop", () => {
  for (const [, attributes = ""] of page.matchAll(/<script([^>]*)>/g))
    expect(attributes).toMatch(/ src="\//);
  expect(page).not.toMatch(/<style|\sstyle=|\son\w+=/);
});
