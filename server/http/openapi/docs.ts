// Owns /api/docs: the OpenAPI document as one page that needs no script and no other host.
import { createHash } from "node:crypto";
import type { JsonSchema, OpenApiDocument, OperationObject } from "./openapi.ts";

const STYLE = `
:root{--ink:#16202b;--dim:#5b6b7c;--line:#dfe5ec;--bg:#f6f8fa;--card:#fff;--get:#0b6bcb;--post:#18794e;--accent:#4b3fd1}
@media (prefers-color-scheme:dark){:root{--ink:#e7edf3;--dim:#93a3b5;--line:#2a3644;--bg:#0f151c;--card:#161e27;--get:#6cb2ff;--post:#5fd39b;--accent:#a79dff}}
*{box-sizing:border-box}body{margin:0;font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--bg)}
main{max-width:54rem;margin:0 auto;padding:2rem 1rem 5rem}h1{margin:0 0 .25rem;font-size:1.9rem}h2{margin:2.5rem 0 .75rem;text-transform:capitalize}
p{margin:.25rem 0 1rem;color:var(--dim)}a{color:var(--accent)}nav{display:flex;gap:1rem;flex-wrap:wrap}
details{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:.5rem 0;overflow:hidden}
summary{display:flex;gap:.75rem;align-items:baseline;padding:.7rem 1rem;cursor:pointer;flex-wrap:wrap}
summary:focus-visible{outline:2px solid var(--accent);outline-offset:-2px}
.m{font:700 .78rem/1 ui-monospace,monospace;width:3.6rem}.get{color:var(--get)}.post,.patch{color:var(--post)}
code{font:.9rem ui-monospace,monospace;overflow-wrap:anywhere}.s{color:var(--dim);margin-left:auto}
.b{padding:0 1rem 1rem;border-top:1px solid var(--line)}h3{font-size:.8rem;letter-spacing:.05em;text-transform:uppercase;color:var(--dim);margin:1rem 0 .4rem}
table{width:100%;border-collapse:collapse;font-size:.92rem}td{padding:.35rem .5rem .35rem 0;border-top:1px solid var(--line);vertical-align:top}
tr:first-child td{border-top:0}pre{background:var(--bg);border:1px solid var(--line);border-radius:8px;padding:.75rem;overflow-x:auto;font:.85rem/1.5 ui-monospace,monospace}
.t{color:var(--dim)}.lock{font-size:.8rem;color:var(--dim)}`;

/** The only thing beside text that the page holds is this style sheet, allowed by its hash. */
export const DOCS_CSP = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** The page for a document. */
export function docsPage(document: OpenApiDocument): string {
  const origin = document.servers[0]?.url ?? "";
  const groups = new Map<string, string[]>();
  for (const [path, item] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(item)) {
      const tag = operation.tags[0] ?? "api";
      const section = renderOperation(origin, method, path, operation);
      groups.set(tag, [...(groups.get(tag) ?? []), section]);
    }
  const links = [...groups.keys()].map((tag) => `<a href="#${tag}">${escape(tag)}</a>`).join("");
  const sections = [...groups]
    .map(
      ([tag, items]) => `<section><h2 id="${tag}">${escape(tag)}</h2>${items.join("")}</section>`,
    )
    .join("");
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escape(document.info.title)}</title><style>${STYLE}</style></head><body><main><h1>${escape(document.info.title)}</h1><p>${escape(document.info.description)}</p><p>Sign in at <code>${escape(origin)}/api/auth/google</code>, exchange the cookie at <code>POST /api/auth/refresh</code>, then send <code>Authorization: Bearer …</code>. Machine-readable: <a href="/api/openapi.json">openapi.json</a>.</p><nav>${links}</nav>${sections}</main></body></html>`;
}

function renderOperation(
  origin: string,
  method: string,
  path: string,
  operation: OperationObject,
): string {
  const body = operation.requestBody?.content["application/json"]?.schema;
  const success = operation.responses["200"] as {
    content: Record<string, { schema: JsonSchema }>;
  };
  const answer = success.content["application/json"]?.schema;
  const secured = operation.security[0];
  const lock = !secured ? "" : "serviceKey" in secured ? "service key" : "access token";
  const parameters = (operation.parameters ?? []).map((parameter) =>
    row(parameter.name, parameter.schema, parameter.required),
  );
  const refusals = Object.entries(operation.responses)
    .filter(([status]) => status !== "200")
    .map(
      ([status, response]) =>
        `<tr><td><code>${status}</code></td><td>${escape("description" in response ? String(response.description) : "")}</td></tr>`,
    );
  return `<details><summary><span class="m ${method}">${method.toUpperCase()}</span><code>${escape(path)}</code><span class="lock">${lock}</span><span class="s">${escape(operation.summary)}</span></summary><div class="b">${table("Query", parameters)}${body ? table("Body", rows(body)) : ""}${answer ? table("Answer", rows(answer)) : ""}${table("Refusals", refusals)}<h3>Try it</h3><pre>${escape(curl(origin, method, path, lock, body))}</pre></div></details>`;
}

function curl(
  origin: string,
  method: string,
  path: string,
  lock: string,
  body: JsonSchema | undefined,
): string {
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${origin}${path}`];
  if (lock !== "")
    lines.push(
      `-H "Authorization: Bearer $${lock === "service key" ? "SERVICE_KEY" : "ACCESS_TOKEN"}"`,
    );
  if (body) {
    const names = body.required?.length ? body.required : Object.keys(body.properties ?? {});
    const example = Object.fromEntries(
      names.map((name) => [name, sample(body.properties?.[name])]),
    );
    lines.push(`-H "Content-Type: application/json"`, `-d '${JSON.stringify(example)}'`);
  }
  return lines.join(" \\\n  ");
}

function sample(schema: JsonSchema | undefined): unknown {
  if (schema?.enum) return schema.enum[0];
  if (schema?.type === "integer" || schema?.type === "number") return 1;
  return "…";
}

function table(title: string, content: readonly string[]): string {
  return content.length === 0 ? "" : `<h3>${title}</h3><table>${content.join("")}</table>`;
}

function rows(schema: JsonSchema): string[] {
  return Object.entries(schema.properties ?? {}).map(([name, property]) =>
    row(name, property, schema.required?.includes(name) ?? false),
  );
}

function row(name: string, schema: JsonSchema, required: boolean): string {
  return `<tr><td><code>${escape(name)}</code>${required ? "" : ' <span class="t">optional</span>'}</td><td class="t">${escape(typeOf(schema))}</td></tr>`;
}

function typeOf(schema: JsonSchema, depth = 0): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map((part) => typeOf(part, depth)).join(" | ");
  if (schema.type === "array")
    return `list of ${schema.items ? typeOf(schema.items, depth) : "anything"}`;
  if (schema.type === "object" && schema.properties && depth < 3) {
    const inner = Object.entries(schema.properties).map(
      ([name, property]) => `${name}: ${typeOf(property, depth + 1)}`,
    );
    return `{ ${inner.join(", ")} }`;
  }
  const type = [schema.type ?? "anything"].flat().join(" | ");
  return schema.format ? `${type} (${schema.format})` : type;
}

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
