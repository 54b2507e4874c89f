// Preloaded into one instance: what it holds once all garbage is collected, a line of JSON every 10 s in HELD_MEMORY_FILE.
// Without the collection, what a process shows depends on when V8 last saw a reason for one.
import { appendFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const EVERY_MS = 10_000;
const file = process.env.HELD_MEMORY_FILE;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc");
setInterval(() => {
  collectGarbage();
  const { heapUsed, rss } = process.memoryUsage();
  const handles = process.getActiveResourcesInfo().length;
  const sample = { atMs: Date.now(), heapBytes: heapUsed, rssBytes: rss, handles };
  appendFileSync(file, `${JSON.stringify(sample)}\n`);
}, EVERY_MS).unref();
