// Preloaded into one instance: records what it still holds after a full garbage collection, as a line of JSON in
// HELD_MEMORY_FILE every HELD_MEMORY_EVERY_MS. Without the forced collection, a process's memory depends on when V8
// last saw a reason to collect.
import { appendFileSync } from "node:fs";
import { getHeapCodeStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const { HELD_MEMORY_FILE: file, HELD_MEMORY_EVERY_MS: everyMs } = process.env;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc");
setInterval(() => {
  collectGarbage();
  const { heapUsed, rss } = process.memoryUsage();
  const handles = process.getActiveResourcesInfo().length;
  const sample = {
    atMs: Date.now(),
    heapBytes: heapUsed,
    codeBytes: code(),
    rssBytes: rss,
    handles,
  };
  appendFileSync(file, `${JSON.stringify(sample)}\n`);
}, Number(everyMs)).unref();

/** Machine code and bytecode: V8 creates it for what runs often and drops it when it has not run for long. */
function code() {
  const statistics = getHeapCodeStatistics();
  return statistics.code_and_metadata_size + statistics.bytecode_and_metadata_size;
}
