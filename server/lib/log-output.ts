// Standard output for log lines. Never blocks while the process runs: what the reader does not take is kept up to a
// limit, then dropped.
import { fstatSync, writeSync } from "node:fs";

/** Where log lines go. */
export interface LogOutput {
  write(line: string): void;
  /** Writes the gathered lines, as far as the reader takes them. */
  flush(done?: () => void): void;
  /** Lines dropped so far. */
  readonly dropped: number;
}

const STDOUT = 1;
/**
 * Lines are batched up to this many characters, or for a second: writing each separately costs as much as the call it
 * reports.
 */
const BATCH_LENGTH = 16_000;
const BATCH_MS = 1_000;
/** Limit of what is kept for a reader that has stopped reading; the last quarter is reserved for errors. */
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_BYTES_OF_OTHERS = 3 * 1024 * 1024;
const ERROR_LINE = /^\{"level":"(?:error|fatal)"/;
/**
 * A pipe takes this much atomically or not at all (PIPE_BUF). Of a larger piece, a nearly full pipe takes only a part,
 * and all workers write to the same pipe.
 */
const PIECE_BYTES = 4_096;
const LINE_END = 10;
/** Delay before writing to a full pipe again. */
const RETRY_MS = 10;
/** How long exiting waits for the reader. */
const END_MS = 2_000;

/**
 * Creates an output to standard output; `isBatched` gathers lines for a moment. `onDropped` is called with the number
 * of dropped lines as soon as the reader has taken everything that was kept.
 *
 * The lines wait in an array. pino's own destination can batch too, but it measures its whole buffer at every line,
 * which makes V8 copy it: a sixth of what a request allocated.
 */
export function createLogOutput(options: {
  readonly isBatched: boolean;
  readonly onDropped: (lines: number) => void;
}): LogOutput {
  const batchLength = options.isBatched ? BATCH_LENGTH : 0;
  const queue = createQueue(options.onDropped);
  let isOpen = false;
  let lines: string[] = [];
  let length = 0;
  function handOver(): void {
    if (lines.length === 0) return;
    const [text, count] = [lines.join(""), lines.length];
    lines = [];
    length = 0;
    queue.add(text, count);
  }
  // Called with the first line, so that a logger that never logs leaves no trace.
  function open(): void {
    isOpen = true;
    if (options.isBatched) setInterval(handOver, BATCH_MS).unref();
    process.once("exit", () => {
      handOver();
      queue.end();
    });
  }
  return {
    write(line) {
      if (!isOpen) open();
      if (queue.isFull && !ERROR_LINE.test(line)) {
        queue.drop(1);
        return;
      }
      lines.push(line);
      length += line.length;
      if (length >= batchLength) handOver();
    },
    flush(done) {
      handOver();
      done?.();
    },
    get dropped() {
      return queue.dropped;
    },
  };
}

/** Lines on their way to the reader, in order of arrival. */
interface Queue {
  /** True from the moment too much is kept until the reader has taken all of it. */
  readonly isFull: boolean;
  readonly dropped: number;
  drop(lines: number): void;
  add(text: string, lines: number): void;
  /** Waits for the reader one last time, on exit. */
  end(): void;
}

function createQueue(onDropped: (lines: number) => void): Queue {
  const write = openStdout();
  const kept: { bytes: Buffer; readonly lines: number }[] = [];
  let [keptBytes, isFull] = [0, false];
  let [dropped, untold] = [0, 0];
  let retry: NodeJS.Timeout | null = null;
  function drop(lines: number): void {
    dropped += lines;
    untold += lines;
  }
  function drain(): void {
    retry = null;
    let isRead = false;
    for (let first = kept[0]; first !== undefined; first = kept[0]) {
      const taken = write(nextPiece(first.bytes));
      if (taken === 0) {
        retry = setTimeout(drain, RETRY_MS).unref();
        return;
      }
      isRead = taken !== null;
      if (taken === null) drop(first.lines);
      keptBytes -= taken ?? first.bytes.length;
      first.bytes = first.bytes.subarray(taken ?? first.bytes.length);
      if (first.bytes.length === 0) kept.shift();
    }
    isFull = false;
    if (!isRead || untold === 0) return;
    const lines = untold;
    untold = 0;
    onDropped(lines);
  }
  return {
    get isFull() {
      return isFull;
    },
    get dropped() {
      return dropped;
    },
    drop,
    add(text, lines) {
      if (keptBytes > MAX_BYTES) return drop(lines);
      const bytes = Buffer.from(text);
      kept.push({ bytes, lines });
      keptBytes += bytes.length;
      isFull ||= keptBytes > MAX_BYTES_OF_OTHERS;
      if (retry === null) drain();
    },
    end() {
      const lastMs = performance.now() + END_MS;
      while (kept.length > 0 && performance.now() < lastMs) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
        drain();
      }
    },
  };
}

/**
 * Returns as many whole lines as fit a piece, but at least one, so that no other process's line can end up inside a
 * line that fits.
 */
function nextPiece(bytes: Buffer): Buffer {
  if (bytes.length <= PIECE_BYTES) return bytes;
  const end = bytes.lastIndexOf(LINE_END, PIECE_BYTES - 1);
  return bytes.subarray(0, (end === -1 ? bytes.indexOf(LINE_END) : end) + 1);
}

/** Node.js's handle of a pipe or socket. */
interface Handle {
  setBlocking(isBlocking: boolean): unknown;
}

/**
 * Returns a function that writes to standard output, which it opens at the first write. It returns how many bytes were
 * taken: 0 when the reader has to read first, null when they are lost because it is gone or the disk is full.
 */
function openStdout(): (bytes: Buffer) => number | null {
  // Undefined = not opened, null = a file or a terminal.
  let handle: Handle | null | undefined;
  return (bytes) => {
    try {
      if (handle === undefined) handle = handleOfStdout();
      // Set every time, because another process sharing the pipe (a worker that ends, a child that is started) may have
      // made it blocking again.
      handle?.setBlocking(false);
      return writeSync(STDOUT, bytes);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "EAGAIN" ? 0 : null;
    }
  };
}

/**
 * Returns null for a file or a terminal. Node.js has no public way to make a pipe return EAGAIN instead of blocking.
 */
function handleOfStdout(): Handle | null {
  const stats = fstatSync(STDOUT);
  if (!stats.isFIFO() && !stats.isSocket()) return null;
  return (process.stdout as unknown as { _handle?: Handle })._handle ?? null;
}
