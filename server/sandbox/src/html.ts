// Renders the sandbox's pages: escaping, one stylesheet, a strict content security policy.
import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";

/** Markup that is safe to send as is. */
export interface Html {
  readonly markup: string;
}

type Piece = Html | string | number | null | undefined | false | readonly Html[];

const ENTITIES: { [char: string]: string } = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Escapes text for markup and quoted attributes. */
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
}

function render(piece: Piece): string {
  if (piece === null || piece === undefined || piece === false) return "";
  if (typeof piece === "string" || typeof piece === "number") return escapeHtml(String(piece));
  if ("markup" in piece) return piece.markup;
  return piece.map((item) => item.markup).join("");
}

/** A template tag that escapes every interpolated value except `Html`. */
export function html(strings: TemplateStringsArray, ...pieces: Piece[]): Html {
  return {
    markup: strings.reduce(
      (out, text, i) => out + text + (i < pieces.length ? render(pieces[i]) : ""),
      "",
    ),
  };
}

const ZERO_DECIMAL = new Set(
  "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split(" "),
);

/** Formats an amount in minor units: `500`, `usd` → `$5.00`. */
export function money(amountMinor: number, currency: string): string {
  const divisor = ZERO_DECIMAL.has(currency) ? 1 : 100;
  return new Intl.NumberFormat("en-US", { style: "currency", currency }).format(
    amountMinor / divisor,
  );
}

/** Formats unix seconds: `2026-11-22 16:06 UTC`. */
export function moment(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

const CSS = `
:root{color-scheme:light dark;--ink:#1a2233;--soft:#5b6680;--line:#dfe3ec;--paper:#fff;--ground:#f4f6fa;--accent:#4f46e5;--accent-ink:#fff;--good:#0e7a4b;--bad:#b42318;--warn:#8a5a00;--mark:#fff4d6}
@media (prefers-color-scheme:dark){:root{--ink:#e8ecf5;--soft:#9aa6bf;--line:#2c3548;--paper:#171e2d;--ground:#0f1420;--accent:#7c74ff;--accent-ink:#0d1020;--good:#4fd39a;--bad:#ff8f84;--warn:#f2c464;--mark:#3a3115}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.banner{background:var(--mark);color:var(--warn);text-align:center;font-size:.82rem;padding:.4rem 1rem}
main{max-width:27rem;margin:0 auto;padding:1.5rem 1rem 3rem}
main.wide{max-width:78rem}
main.two{max-width:56rem;display:grid;gap:1.25rem}
@media (min-width:48rem){main.two{grid-template-columns:1fr 1.1fr;padding-top:3rem}}
.card{background:var(--paper);border:1px solid var(--line);border-radius:14px;padding:1.4rem;box-shadow:0 1px 2px #0000000d,0 8px 24px #0000000a}
.card+.card{margin-top:1.25rem}
main.two .card+.card{margin-top:0}
.card>:first-child,.card>form:first-child>:first-child{margin-top:0}
.row+.soft{margin:.1rem 0 .6rem}
h1{font-size:1.2rem;margin:0 0 .5rem}
h2{font-size:1rem;margin:1.4rem 0 .5rem}
.card>h2:first-child{margin-top:0}
.total{font-size:2.2rem;font-weight:650;letter-spacing:-.02em;margin:.2rem 0 1rem}
.total small{font-size:.95rem;font-weight:400;color:var(--soft)}
.soft{color:var(--soft);font-size:.88rem}
.row{display:flex;justify-content:space-between;gap:1rem;padding:.45rem 0;border-top:1px solid var(--line)}
.row.sum{font-weight:650}
label.choice{display:flex;gap:.7rem;align-items:flex-start;border:1px solid var(--line);border-radius:10px;padding:.7rem .8rem;margin:.5rem 0;cursor:pointer}
label.choice:has(input:checked){border-color:var(--accent);outline:1px solid var(--accent)}
label.choice input{margin-top:.3rem;accent-color:var(--accent)}
label.choice b{display:block;font-weight:600}
input[type=text],input[type=email],input[type=number],select{width:100%;font:inherit;color:inherit;background:var(--ground);border:1px solid var(--line);border-radius:9px;padding:.6rem .7rem}
.field{display:block;margin:.7rem 0}
.field span{display:block;font-size:.85rem;color:var(--soft);margin-bottom:.2rem}
button,.button{display:inline-block;font:inherit;font-weight:600;border:1px solid var(--line);border-radius:9px;padding:.55rem .9rem;background:var(--paper);color:var(--ink);cursor:pointer;text-decoration:none}
button.main{width:100%;border-color:var(--accent);background:var(--accent);color:var(--accent-ink);padding:.8rem;margin-top:.6rem;font-size:1.05rem}
button.small{padding:.15rem .5rem;font-size:.8rem;font-weight:500;border-radius:7px}
button:focus-visible,a:focus-visible,input:focus-visible,select:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
a{color:var(--accent)}
.inline{display:flex;gap:.5rem;align-items:center;flex-wrap:wrap}
.inline input,.inline select{width:auto;flex:1 1 7rem;min-width:0}
.inline .field{flex:1 1 6rem;margin:.3rem 0}
.inline .field input,.inline .field select{width:100%}
.inline:has(.field){align-items:end}
.inline+.inline{margin-top:.7rem}
.note{border-radius:10px;padding:.7rem .9rem;margin:.6rem 0;border:1px solid var(--line)}
.note.bad{color:var(--bad);border-color:var(--bad)}
.note.good{color:var(--good);border-color:var(--good)}
.center{text-align:center}
.person{display:flex;width:100%;gap:.8rem;align-items:center;text-align:left;padding:.7rem .8rem;margin:.45rem 0;font-weight:400}
.person b{display:block;font-weight:600}
.face{flex:none;display:grid;place-items:center;width:2.3rem;height:2.3rem;border-radius:50%;background:var(--accent);color:var(--accent-ink);font-weight:700}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.85rem}
th,td{text-align:left;padding:.35rem .6rem .35rem 0;border-top:1px solid var(--line);vertical-align:top;white-space:nowrap}
th{color:var(--soft);font-weight:500;border-top:0}
td form{display:inline}
code{font:.82rem ui-monospace,SFMono-Regular,Menlo,monospace}
.ok{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.grid{display:grid;gap:1.25rem;grid-template-columns:minmax(0,1fr)}
.grid .card+.card{margin-top:0}
@media (min-width:60rem){.grid{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}.grid .full{grid-column:1/-1}}
`;

const STYLE_HASH = createHash("sha256").update(CSS).digest("base64");

/** The parts of a page. */
interface Page {
  title: string;
  main: Html;
  layout?: "two" | "wide";
  banner?: string;
}

/** The whole document of a page, for callers that send it themselves. */
export function pageDocument({ title, main, layout, banner }: Page): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${title}</title><link rel="icon" href="data:,"><style>${{ markup: CSS }}</style></head>
<body><header class="banner">${banner ?? "Sandbox: nothing here is real, no money moves."}</header>
<main class="${layout}">${main}</main></body></html>`.markup;
}

/**
 * Sends a page. `formTargets` are the origins its forms may lead to. Browsers check every redirect that follows
 * a form against `form-action`, so the app's own origins must be included.
 */
export function sendPage(
  res: ServerResponse,
  status: number,
  given: Page & { formTargets?: string[] },
): void {
  const targets = [
    "'self'",
    "http://localhost:*",
    "http://127.0.0.1:*",
    ...(given.formTargets ?? []),
  ];
  res.writeHead(status, {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; img-src data:; form-action ${targets.join(" ")}; base-uri 'none'; frame-ancestors 'none'`,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin", // no-referrer would make browsers send `Origin: null` with the forms
    "Cache-Control": "no-store",
  });
  res.end(pageDocument(given));
}

/** Redirects the browser with a GET (303). */
export function redirect(res: ServerResponse, location: string): void {
  res.writeHead(303, { Location: location, "Cache-Control": "no-store" });
  res.end();
}

/** The origin of a URL, for `form-action`; an empty list for an invalid URL. */
export function originOf(url: string | null): string[] {
  if (url === null || !URL.canParse(url)) return [];
  return [new URL(url).origin];
}
