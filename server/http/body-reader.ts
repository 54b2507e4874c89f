// Reads request bodies: bounded in total over all connections, and aborted when they stall.
import type { IncomingMessage } from "node:http";
import { AppError } from "../lib/errors.ts";
import { SlotSet } from "../lib/slot-set.ts";
import { malformed, MAX_JSON_BYTES } from "./body.ts";
import { addressKey } from "./client-address.ts";

/** Maximum bytes of unfinished bodies held simultaneously: over all connections, and for one client. */
const HELD_LIMITS = {
  totalBytes: 32 * 1_048_576,
  clientBytes: 12 * 1_048_576,
  /** Idle timeout of an upload; the server's requestTimeout bounds the total. */
  idleMs: 5_000,
} as const;

/** Shared: it keeps no state between bodies, and creating one costs as much as reading ten. */
const utf8 = new TextDecoder("utf-8", { fatal: true });

const FIRST_ROOM_BYTES = 8_192;
const CHECK_INTERVAL_MS = 1_000;

/** Reads bodies within bounds that hold over all connections of a server. */
export interface BodyReader {
  /**
   * Returns the body's bytes. Throws PAYLOAD_TOO_LARGE (the rest is not read), VALIDATION_FAILED when the body breaks
   * off or stalls, SERVICE_UNAVAILABLE when too many bytes of unfinished bodies are already held.
   */
  bytes(request: IncomingMessage, maxBytes: number): Promise<Buffer>;
  /** Returns the body as text. Throws what `bytes` throws, and VALIDATION_FAILED when it is not UTF-8. */
  text(request: IncomingMessage, maxBytes?: number): Promise<string>;
}

/** A body being received. */
interface Arriving {
  lastByteAtMs: number;
  readonly giveUp: () => void;
}

/** Creates the reader of one server. `limits` is for tests. */
export function createBodyReader(deps: {
  clientAddress: (request: IncomingMessage) => string;
  limits?: { totalBytes: number; clientBytes: number; idleMs: number };
}): BodyReader {
  const limits = deps.limits ?? HELD_LIMITS;
  const budget = createBudget(limits);
  const arriving = new SlotSet<Arriving>();
  let timer: NodeJS.Timeout | undefined;

  function giveUpIdle(): void {
    const before = performance.now() - limits.idleMs;
    for (const body of arriving) if (body.lastByteAtMs < before) body.giveUp();
    if (arriving.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  function bytes(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const declared = Number(request.headers["content-length"] ?? -1);
      if (declared > maxBytes) {
        reject(tooLarge(maxBytes));
        return;
      }
      const held = new HeldBody(declared, (more) => budget.take(deps.clientAddress(request), more));
      const done = (error?: AppError) => {
        if (!arriving.delete(body)) return;
        budget.give(held.grants);
        request.removeListener("data", take);
        if (error === undefined) {
          resolve(held.whole());
          return;
        }
        request.pause();
        reject(error);
      };
      const take = (chunk: Buffer) => {
        body.lastByteAtMs = performance.now();
        if (held.size + chunk.length > maxBytes) done(tooLarge(maxBytes));
        else if (!held.add(chunk, maxBytes)) done(tooBusy());
      };
      const body: Arriving = {
        lastByteAtMs: performance.now(),
        giveUp: () => done(malformed("The body did not arrive in time.")),
      };
      arriving.add(body);
      timer ??= setInterval(giveUpIdle, CHECK_INTERVAL_MS).unref();
      request.on("data", take);
      request.on("end", () => done());
      // Every request ends with "close", so the error (and its stack) is created only if the body was still awaited.
      const brokeOff = () => {
        if (arriving.has(body)) done(malformed("The body broke off."));
      };
      request.on("error", brokeOff);
      request.on("close", brokeOff);
    });
  }

  return {
    bytes,
    async text(request, maxBytes = MAX_JSON_BYTES) {
      const body = await bytes(request, maxBytes);
      try {
        return utf8.decode(body);
      } catch {
        throw malformed("The body is not UTF-8.");
      }
    },
  };
}

/** What the budget granted to one client. */
interface Grant {
  readonly client: string;
  readonly bytes: number;
}

/**
 * What has arrived of one body. Most bodies arrive in one chunk, which is kept as it is. Several chunks are copied into
 * one buffer, because a body sent byte by byte would otherwise cost a hundred times its size.
 */
class HeldBody {
  size = 0;
  /** To be returned to the budget. */
  readonly grants: Grant[] = [];
  private readonly ask: (bytes: number) => Grant | null;
  private readonly declared: number;
  private held: Buffer | null = null;

  constructor(declared: number, ask: (bytes: number) => Grant | null) {
    this.declared = declared;
    this.ask = ask;
  }

  /** Keeps one more chunk; returns false when the budget has no room for it. */
  add(chunk: Buffer, maxBytes: number): boolean {
    const needed = this.size + chunk.length;
    if (this.held === null) {
      // A body that arrives whole is not waited for, so it needs no budget.
      if (needed !== this.declared && !this.granted(needed)) return false;
      this.held = chunk;
    } else {
      if (this.held.length < needed && !this.grow(needed, maxBytes)) return false;
      chunk.copy(this.held, this.size);
    }
    this.size = needed;
    return true;
  }

  whole(): Buffer {
    return this.held?.subarray(0, this.size) ?? Buffer.alloc(0);
  }

  private grow(needed: number, maxBytes: number): boolean {
    const length = Math.min(maxBytes, Math.max(FIRST_ROOM_BYTES, needed * 2));
    if (!this.granted(length - this.size)) return false;
    const room = Buffer.allocUnsafeSlow(length);
    this.held?.copy(room, 0, 0, this.size);
    this.held = room;
    return true;
  }

  private granted(bytes: number): boolean {
    const grant = this.ask(bytes);
    if (grant !== null) this.grants.push(grant);
    return grant !== null;
  }
}

function createBudget(limits: { totalBytes: number; clientBytes: number }) {
  const byClient = new Map<string, number>();
  let total = 0;
  return {
    take(client: string, bytes: number): Grant | null {
      const key = addressKey(client);
      const mine = (byClient.get(key) ?? 0) + bytes;
      if (total + bytes > limits.totalBytes || mine > limits.clientBytes) return null;
      total += bytes;
      byClient.set(key, mine);
      return { client: key, bytes };
    },
    give(taken: readonly Grant[]): void {
      for (const { client, bytes } of taken) {
        total -= bytes;
        const left = (byClient.get(client) ?? 0) - bytes;
        if (left > 0) byClient.set(client, left);
        else byClient.delete(client);
      }
    },
  };
}

function tooLarge(maxBytes: number): AppError {
  return AppError.of("PAYLOAD_TOO_LARGE", `Send at most ${maxBytes} bytes.`);
}

function tooBusy(): AppError {
  return AppError.of("SERVICE_UNAVAILABLE", "Too much is being received. Please try again.", {
    retryAfterSeconds: 2,
  });
}
