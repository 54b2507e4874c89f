// Writes published-secrets.ts: the marks of secrets that anybody can look up, one list of them per argument.
// `npm run secrets:write -- LIST…` reads public lists (wallarm/jwt-secrets' jwt.secrets.list, the examples of jwt.io and of
// tutorials; one secret a line) and adds them to the marks that are there. The lists themselves are not kept here.
import { readFileSync, writeFileSync } from "node:fs";
import { PUBLISHED } from "./published-secrets.ts";
import { publishedMark } from "./weak-secrets.ts";

/** Shorter ones are refused by their length wherever they are used. */
const MIN_BYTES = 16;
const MARKS_PER_LINE = 8;

const marks = new Set(PUBLISHED);
for (const list of process.argv.slice(2))
  for (const line of readFileSync(list, "utf8").split(/\r?\n/))
    if (Buffer.byteLength(line.trim()) >= MIN_BYTES) marks.add(publishedMark(line));

const sorted = Array.from(marks).sort();
const lines: string[] = [];
for (let at = 0; at < sorted.length; at += MARKS_PER_LINE)
  lines.push(sorted.slice(at, at + MARKS_PER_LINE).join(" "));
writeFileSync(
  new URL("published-secrets.ts", import.meta.url),
  `// Made by \`npm run secrets:write -- LIST…\` (write-published.ts): marks of published secrets, and no secret itself.

/** The first eight bytes of each one's SHA-256, in hexadecimal (publishedMark of weak-secrets.ts). */
export const PUBLISHED: ReadonlySet<string> = new Set(
  \`
${lines.join("\n")}
\`.match(/[0-9a-f]{16}/g),
);
`,
);
