// The documents refer only to what exists: relative links, npm scripts and paths in this repository.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { HANDLED_EVENTS } from "../../../server/payment/events/handled-events.ts";
import { ERROR_CODES } from "../../../shared/src/errors.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};

const DOCUMENTS = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "SECURITY.md",
  "llms.txt",
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
].filter((name) => existsSync(join(ROOT, name)));

const LINK = /\]\(([^)\s]+)\)/g;
const NPM_RUN = /\bnpm run ([a-z][\w:-]*)/g;
/** Excludes the files that a guide asks its reader to create. */
const PATH = /(?<!New: )`((?:server|shared|prisma|tests|examples|docs|\.ci|\.github)\/[\w./-]*)`/g;

/** A decision is a record of its time: the files it names may have moved since. */
const keepsOldPaths = (document: string) => /^docs\/decisions\/\d/.test(document);

const isBuilt = (path: string) => /(?:^|\/)dist(?:\/|$)/.test(path);

const all = (pattern: RegExp, text: string) =>
  Array.from(text.matchAll(pattern), (match) => match[1] ?? "");

/** Returns what `text`, located in `document`, refers to and the repository lacks. */
function missing(document: string, text: string): string[] {
  const links = all(LINK, text)
    .filter((target) => !/^(?:[a-z]+:|#)/.test(target))
    .map((target) => target.replace(/#.*$/, ""))
    .filter((target) => !existsSync(join(ROOT, dirname(document), target)));
  const commands = all(NPM_RUN, text).filter((name) => !Object.hasOwn(scripts, name));
  const paths = keepsOldPaths(document)
    ? []
    : all(PATH, text).filter((path) => !isBuilt(path) && !existsSync(join(ROOT, path)));
  return [...links, ...commands, ...paths];
}

describe("documents", () => {
  test.each(DOCUMENTS)("%s names only what exists", (document) => {
    expect(missing(document, readFileSync(join(ROOT, document), "utf8"))).toEqual([]);
  });

  test("finds a broken link, command and path", () => {
    const text = "[a](gone.md) [b](../README.md#x) `npm run gone` `server/gone.ts` `server/ledger`";
    expect(missing("docs/x.md", text)).toEqual(["gone.md", "gone", "server/gone.ts"]);
  });

  test("the Stripe guide lists the events that are handled", () => {
    const guide = readFileSync(join(ROOT, "docs/guides/stripe.md"), "utf8");
    const table = guide.slice(guide.indexOf("| group | events |"), guide.indexOf("Other events"));
    expect(all(/`([a-z_.]+)`/g, table).sort()).toEqual([...HANDLED_EVENTS].sort());
  });

  test("troubleshooting knows every error code", () => {
    const page = readFileSync(join(ROOT, "docs/troubleshooting.md"), "utf8");
    expect(Object.keys(ERROR_CODES).filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
  });
});
