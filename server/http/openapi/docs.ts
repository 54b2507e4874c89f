// /api/docs: Swagger UI over the OpenAPI document, served from this host under a policy that allows nothing inline.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type IRouter, Router } from "express";
import { setRoute } from "../request-record.ts";
import { PAGE, START, STYLE } from "./docs-page.ts";
import { createOpenApi } from "./openapi.ts";

/** Scripts and styles from this host only; the style sheet's own icons are data URLs. */
const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ASSETS = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "favicon-32x32.png": "image/png",
} as const;

const HOUR = "public, max-age=3600";

/** Creates the routes `/`, `/api/openapi.json`, `/api/docs` and its files, for an API at `base` (publicBaseOf). */
export function createDocs(base: string): IRouter {
  const router = Router({ caseSensitive: true, strict: true });
  const page = `${new URL(base).pathname.replace(/\/$/, "")}/api/docs`;
  router.get("/", (request, response) => {
    setRoute(request, "/");
    response.redirect(302, page);
  });
  // One shared buffer: clients that do not read their responses would otherwise hold a copy each.
  const description = Buffer.from(JSON.stringify(createOpenApi(base)));
  router.get("/api/openapi.json", (request, response) => {
    setRoute(request, "/api/openapi.json");
    response.setHeader("Cache-Control", "no-cache");
    response.setHeader("Content-Type", "application/json; charset=utf-8");
    response.end(description);
  });
  const serve = (path: string, type: string, cache: string, body: () => string | Buffer) =>
    router.get(path, (request, response) => {
      setRoute(request, "/api/docs");
      response.setHeader("Cache-Control", cache);
      response.setHeader("Content-Security-Policy", DOCS_CSP);
      response.setHeader("Content-Type", type);
      response.end(body());
    });
  serve("/api/docs", "text/html; charset=utf-8", "no-cache", () => PAGE);
  serve("/api/docs/start.js", "text/javascript; charset=utf-8", HOUR, () => START);
  serve("/api/docs/docs.css", "text/css; charset=utf-8", HOUR, () => STYLE);
  for (const [file, type] of Object.entries(ASSETS))
    serve(`/api/docs/${file}`, type, HOUR, readOnce(file));
  return router;
}

/** Returns a function that reads a file of swagger-ui-dist on first use, because most servers never need it. */
function readOnce(file: string): () => Buffer {
  let content: Buffer | undefined;
  return () => {
    const folder = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
    return (content ??= readFileSync(join(folder, file)));
  };
}
