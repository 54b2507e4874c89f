// The frontend as deployed: built once for all browser tests, and served as static files for one API.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { serve } from "../support/ports.ts";

const WEB = join(import.meta.dirname, "../../examples/web");
/** Names the folder of the build, for the test processes. */
const FOLDER_VARIABLE = "TEST_FRONTEND_FOLDER";
/** The API the build is made for. Serving replaces it with the real one, whose port differs for each world. */
const API_OF_THE_BUILD = "http://api-of-the-build.invalid";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

/** Builds it before the first test; returns a function that removes the build. */
export async function setup(): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), "skywork-frontend-"));
  const manifest = createRequire(join(WEB, "package.json")).resolve("vite/package.json");
  await promisify(execFile)(
    process.execPath,
    [join(manifest, "../bin/vite.js"), "build", "--outDir", folder, "--logLevel", "error"],
    { cwd: WEB, env: { ...process.env, NODE_ENV: "production", VITE_API_URL: API_OF_THE_BUILD } },
  );
  process.env[FOLDER_VARIABLE] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}

/** Serves the built files for the API at `apiUrl`; unknown paths return the app. */
export function serveFrontend(apiUrl: string) {
  const folder = process.env[FOLDER_VARIABLE] ?? "";
  return serve((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://web");
    const name = /^\/(assets\/)?[\w.-]+\.\w+$/.test(pathname) ? pathname : "index.html";
    const file = join(folder, name);
    if (!existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
    response.end(readFileSync(file, "utf8").replaceAll(API_OF_THE_BUILD, apiUrl));
  });
}
