// The headers of one answer until it is written. Setting twenty of them one by one costs more than writing the answer.
import type { ServerResponse } from "node:http";
import type { RawHeaders } from "./common-headers.ts";

/** What a procedure's reply needs of an answer: a ServerResponse has it, and so has AnswerHeaders. */
export interface ReplyHeaders {
  readonly headersSent: boolean;
  getHeader(name: string): string | number | string[] | undefined;
  setHeader(name: string, value: string): unknown;
  appendHeader(name: string, value: string): unknown;
}

/** What tRPC's handler says beside the middleware's `Vary: Origin`. */
const VARY = "trpc-accept, accept";

/**
 * The headers that the middleware and the procedures give one answer. `sendTrpc` writes them with the answer as one block;
 * whoever answers by Node.js's, Express's or tRPC's own means calls `handOver` first and finds them set on the response.
 */
export class AnswerHeaders {
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

  /** Sets every header on the response, which from then on keeps them. Safe to repeat. */
  handOver(): void {
    if (this.handedOver) return;
    this.handedOver = true;
    for (let index = 0; index < this.common.length; index += 2)
      this.response.setHeader(this.common[index] ?? "", this.common[index + 1] ?? "");
    for (const [name, value] of this.own) this.response.setHeader(name, value);
  }

  /** Writes a JSON answer as tRPC's own handler does; nothing when one was begun or the client is gone. */
  sendTrpc(status: number, body: unknown): void {
    const { response, common, own } = this;
    if (response.headersSent || response.destroyed) return;
    const text = JSON.stringify(body);
    const length = Buffer.byteLength(text);
    // writeHead lets a name's last value win once any header is set: by a handing over, or by a server that drains.
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
    // Text without a character beyond ASCII needs no encoding: head and body leave as they are.
    response.end(text, length === text.length ? "latin1" : "utf8");
  }

  private find(name: string) {
    return this.own.find(([known]) => known === name);
  }
}

/** `headers` but the one of this name, which an answer says differently. */
function without(headers: RawHeaders, name: string): RawHeaders {
  const index = headers.indexOf(name.toLowerCase());
  // At an odd place stands a value.
  return index % 2 === 0 ? headers.toSpliced(index, 2) : headers;
}
