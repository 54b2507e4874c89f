// Standard output for log lines. It waits for nobody: what its reader does not take is kept up to a bound, then dropped.
import { fstatSync, writeSync } from "node:fs";

/** Where log lines go. */
export interface LogOutput {
  write(line: string): void;
  /** Writes what is gathered, as far as the reader takes it. */
  flush(done?: () => void): void;
  /** How many lines were dropped so far. */
  readonly dropped: number;
}

const STDOUT = 1;
/** Lines wait for company up to this many characters, or a second: a write of its own for each costs as much as the call it tells of. */
const BATCH_LENGTH = 16_000;
const BATCH_MS = 1_000;
/** What is kept for a reader that has stopped reading; the last quarter is for errors alone. */
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_BYTES_OF_OTHERS = 3 * 1024 * 1024;
const ERROR_LINE = /^\{"level":"(?:error|fatal)"/;
/** A pipe takes this much as one or not at all (PIPE_BUF). Of more, a full one takes a part, and the workers share it. */
const PIECE_BYTES = 4_096;
const LINE_END = 10;
/** How soon a full pipe is tried again. */
const RETRY_MS = 10;
/** How long the end of the process waits for the reader. */
const END_MS = 2_000;

/**
 * Standard output; `isBatched` gathers lines for a moment. `onDropped` is told how many lines were dropped as soon as the
 * reader has taken everything that was kept.
 *
 * The lines wait in an array. pino's own destination can gather, too, but measures all that it holds at every line, for
 * which V8 copies it: a sixth of what a request allocated.
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
  // With the first line: a logger that says nothing leaves no trace.
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

/** Lines on their way to the reader, in the order in which they came. */
interface Queue {
  /** True from when too much is kept until the reader has taken all of it. */
  readonly isFull: boolean;
  readonly dropped: number;
  drop(lines: number): void;
  add(text: string, lines: number): void;
  /** Waits for the reader a last time. */
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

/** As many whole lines as fit a piece, one at least: no line of another process comes into the middle of one that fits. */
function nextPiece(bytes: Buffer): Buffer {
  if (bytes.length <= PIECE_BYTES) return bytes;
  const end = bytes.lastIndexOf(LINE_END, PIECE_BYTES - 1);
  return bytes.subarray(0, (end === -1 ? bytes.indexOf(LINE_END) : end) + 1);
}

/** The handle that Node.js makes of a pipe or socket. */
interface Handle {
  setBlocking(isBlocking: boolean): unknown;
}

/**
 * Opens standard output at the first write. A write answers how many bytes were taken: 0 when the reader has to read
 * first, null when they are lost because it is gone or the disk is full.
 */
function openStdout(): (bytes: Buffer) => number | null {
  // Undefined = not opened, null = a file or a terminal.
  let handle: Handle | null | undefined;
  return (bytes) => {
    try {
      if (handle === undefined) handle = handleOfStdout();
      // Every time: whoever shares the pipe (a worker that ends, a child that is started) may have made it wait again.
      handle?.setBlocking(false);
      return writeSync(STDOUT, bytes);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "EAGAIN" ? 0 : null;
    }
  };
}

/** Null for a file or a terminal. Nothing public of Node.js makes a pipe answer EAGAIN instead of waiting. */
function handleOfStdout(): Handle | null {
  const stats = fstatSync(STDOUT);
  if (!stats.isFIFO() && !stats.isSocket()) return null;
  return (process.stdout as unknown as { _handle?: Handle })._handle ?? null;
}
