// Collects one response's headers until it is written. Setting twenty one by one costs more than writing the response.
import type { ServerResponse } from "node:http";
import type { RawHeaders } from "./common-headers.ts";

/** What a procedure's reply needs from a response; both ServerResponse and ResponseHeaders provide it. */
export interface ReplyHeaders {
  readonly headersSent: boolean;
  /** Whether it has been sent or abandoned. */
  readonly destroyed: boolean;
  once(event: "close", listener: () => void): unknown;
  getHeader(name: string): string | number | string[] | undefined;
  setHeader(name: string, value: string): unknown;
  appendHeader(name: string, value: string): unknown;
}

/** What tRPC's own handler adds to the middleware's `Vary: Origin`. */
const VARY = "trpc-accept, accept";

/**
 * The headers that the middleware and the procedures set on one response. `sendTrpc` writes them and the body as one
 * block. Code that responds through Node.js, Express or tRPC's own handler calls `handOver` first, which sets them on
 * the response.
 */
export class ResponseHeaders {
  readonly response: ServerResponse;
  private common: RawHeaders;
  private readonly own: [name: string, value: string | string[]][];
  private handedOver = false;

  constructor(response: ServerResponse, common: RawHeaders, requestId: string) {
    this.response = response;
    this.common = common;
    this.own = [["X-Request-Id", requestId]];
  }

  get headersSent(): boolean {
    return this.response.headersSent;
  }

  get destroyed(): boolean {
    return this.response.destroyed;
  }

  once(event: "close", listener: () => void): void {
    this.response.once(event, listener);
  }

  getHeader(name: string): string | number | string[] | undefined {
    return this.handedOver ? this.response.getHeader(name) : this.find(name)?.[1];
  }

  setHeader(name: string, value: string): void {
    const known = this.find(name);
    if (this.handedOver) this.response.setHeader(name, value);
    else if (known !== undefined) known[1] = value;
    else {
      this.common = without(this.common, name);
      this.own.push([name, value]);
    }
  }

  appendHeader(name: string, value: string): void {
    const known = this.find(name);
    if (this.handedOver) this.response.appendHeader(name, value);
    else if (known === undefined) this.own.push([name, [value]]);
    else known[1] = [known[1], value].flat();
  }

  /** Sets every header on the response; later changes go to the response directly. Safe to call again. */
  handOver(): void {
    if (this.handedOver) return;
    this.handedOver = true;
    for (let index = 0; index < this.common.length; index += 2)
      this.response.setHeader(this.common[index] ?? "", this.common[index + 1] ?? "");
    for (const [name, value] of this.own) this.response.setHeader(name, value);
  }

  /** Writes a JSON response as tRPC's own handler does; does nothing if one has begun or the client has left. */
  sendTrpc(status: number, body: unknown): void {
    const { response, common, own } = this;
    if (response.headersSent || response.destroyed) return;
    const text = JSON.stringify(body);
    const length = Buffer.byteLength(text);
    // Once any header is set (by handOver or a draining server), writeHead keeps only the last value of each name.
    if (this.handedOver || response.getHeaderNames().length > 0) {
      this.handOver();
      response.statusCode = status;
      response.setHeader("Content-Type", "application/json");
      response.setHeader("Content-Length", length);
      response.appendHeader("Vary", VARY);
    } else {
      response.writeHead(status, [
        ...common,
        ...own.flat(),
        ...["Content-Type", "application/json", "Content-Length", String(length), "Vary", VARY],
      ]);
    }
    // ASCII-only text needs no encoding, so head and body go out as they are.
    response.end(text, length === text.length ? "latin1" : "utf8");
  }

  private find(name: string) {
    return this.own.find(([known]) => known === name);
  }
}

/** Returns `headers` without the named one, which this response overrides. */
function without(headers: RawHeaders, name: string): RawHeaders {
  const index = headers.indexOf(name.toLowerCase());
  // An odd index holds a value, not a name; -1 means absent.
  return index % 2 === 0 ? headers.toSpliced(index, 2) : headers;
}
