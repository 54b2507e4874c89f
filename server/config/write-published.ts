// Writes published-secrets.json: the marks of secrets that anyone can look up. `npm run secrets:write -- LIST…` reads
// public lists (wallarm/jwt-secrets' jwt.secrets.list, the examples of jwt.io and of tutorials; one secret per line)
// and adds them to the existing marks. The lists themselves are not kept here.
import { readFileSync, writeFileSync } from "node:fs";
import { PUBLISHED, publishedMark } from "./weak-secrets.ts";

/** Shorter ones are refused for their length wherever they are used. */
const MIN_BYTES = 16;

const marks = new Set(PUBLISHED);
for (const list of process.argv.slice(2))
  for (const line of readFileSync(list, "utf8").split(/\r?\n/))
    if (Buffer.byteLength(line.trim()) >= MIN_BYTES) marks.add(publishedMark(line));

writeFileSync(
  new URL("published-secrets.json", import.meta.url),
  `${JSON.stringify(Array.from(marks).sort(), null, 2)}\n`,
);
