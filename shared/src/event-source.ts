// Server-sent events over fetch: unlike a browser's EventSource it can send the access token in a header, so that no
// token ever appears in a URL, and it also works where there is no EventSource.
import { codeIn } from "./refusal.ts";

/** An event as listeners receive it. */
export interface StreamEvent {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
  readonly message?: string;
}

/** What the stream needs to open and reopen. */
export interface StreamOptions {
  /** Part of tRPC's types, but ignored: cookies are always sent. */
  readonly withCredentials?: boolean;
  readonly fetch: typeof globalThis.fetch;
  /** Called for each connection, so that a renewed token is used. */
  readonly headers: () => Promise<Record<string, string>>;
}

type Listener = (event: StreamEvent) => void;

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** The server responds to a stream's request within a few seconds, whatever it then has to send. */
const CONNECT_TIMEOUT_MS = 15_000;
/** This API's own refusals are shorter, and arrive immediately. */
const MAX_REFUSAL_LENGTH = 20_000;
const REFUSAL_TIMEOUT_MS = 5_000;

/** The part of EventSource that tRPC's subscription link uses. A class, because the link calls it with `new`. */
export class FetchEventSource {
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSED = 2;
  readyState = 0;
  readonly #url: string;
  readonly #options: StreamOptions;
  readonly #listeners = new Map<string, Set<Listener>>();
  /** Aborts the current connection. */
  #connection = new AbortController();
  /** Ends the current wait. */
  #wake: () => void = () => undefined;
  #lastEventId = "";
  #retryMs = FIRST_RETRY_MS;

  constructor(url: string, options?: StreamOptions) {
    if (!options) throw new Error("FetchEventSource needs its options.");
    this.#url = url;
    this.#options = options;
    void this.#run();
  }

  addEventListener(type: string, listener: Listener): void {
    const listeners = this.#listeners.get(type) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(type, listeners);
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.get(type)?.delete(listener);
  }

  close(): void {
    this.readyState = this.CLOSED;
    this.#connection.abort();
    this.#wake();
  }

  #dispatch(type: string, data: string, message?: string): void {
    const event: StreamEvent = {
      type,
      data,
      lastEventId: this.#lastEventId,
      ...(message === undefined ? {} : { message }),
    };
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }

  /** Keeps connecting until closed: a stream that ends is reopened, with growing delays while it fails. */
  async #run(): Promise<void> {
    while (this.readyState !== this.CLOSED) {
      let problem = "The connection ended.";
      try {
        const answer = await this.#connect();
        // Closed while the response's head arrived: it must not become open again.
        if (this.readyState === this.CLOSED) {
          await answer.body?.cancel();
          return;
        }
        if (answer.body && isEventStream(answer)) {
          // A stream that is not ok is a refusal in tRPC's form: the listener decides whether to reconnect, and closes
          // if not.
          if (answer.ok) this.readyState = this.OPEN;
          else problem = `The server answered ${answer.status}.`;
          await this.#read(answer.body);
        } else {
          problem = `The server answered ${answer.status} and no event stream.`;
          if (await isRefusal(answer)) return this.#fail(problem);
        }
      } catch (error) {
        if (error instanceof Error) problem = error.message;
      }
      if (this.readyState === this.CLOSED) return;
      this.readyState = this.CONNECTING;
      this.#dispatch("error", "", problem);
      await this.#pause(this.#retryMs * (0.75 + Math.random() / 2));
      this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
    }
  }

  /** Resolves once the response's head has arrived. Rejects if that takes too long. */
  async #connect(): Promise<Response> {
    const connection = (this.#connection = new AbortController());
    const headers = await this.#options.headers();
    const timer = setTimeout(
      () => connection.abort(new Error("The server did not answer in time.")),
      CONNECT_TIMEOUT_MS,
    );
    try {
      return await this.#options.fetch(this.#url, {
        headers: {
          accept: "text/event-stream",
          ...(this.#lastEventId === "" ? {} : { "last-event-id": this.#lastEventId }),
          ...headers,
        },
        credentials: "include",
        signal: connection.signal,
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resets the retry delay once an open stream has sent something: one that merely opens may be lost every time. */
  #proveGood(): void {
    if (this.readyState === this.OPEN) this.#retryMs = FIRST_RETRY_MS;
  }

  #fail(message: string): void {
    this.readyState = this.CLOSED;
    this.#dispatch("error", "", message);
  }

  /** Follows https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. */
  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let buffer = "";
    let type = "";
    let id = this.#lastEventId;
    let data: string[] = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      buffer += decoder.decode(value, { stream: true });
      const lines = buffer.split(/\r\n|\n|\r(?!$)/);
      buffer = lines.pop() ?? "";
      for (const line of lines) {
        if (line.startsWith(":")) this.#proveGood();
        if (line === "") {
          // Only a complete event moves the position to resume from (the specification's "dispatch the event").
          this.#lastEventId = id;
          if (data.length > 0) {
            this.#proveGood();
            this.#dispatch(type || "message", data.join("\n"));
          }
          type = "";
          data = [];
          continue;
        }
        const colon = line.indexOf(":");
        const field = colon === -1 ? line : line.slice(0, colon);
        const text = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "event") type = text;
        else if (field === "data") data.push(text);
        else if (field === "id" && !text.includes("\0")) id = text;
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/**
 * Whether a response is this API's own permanent refusal. A maintenance page is not, whatever its status, nor is the
 * response of an ingress or a gateway.
 */
async function isRefusal({ status, body }: Response): Promise<boolean> {
  if (status >= 400 && status < 500 && status !== 429 && body)
    return codeIn(await beginningOf(body)) !== null;
  await body?.cancel();
  return false;
}

/** Returns the text of a body, as far as it arrives within the limits of a refusal. */
async function beginningOf(body: ReadableStream<Uint8Array>): Promise<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const giveUp = () => void reader.cancel().catch(() => undefined);
  const timer = setTimeout(giveUp, REFUSAL_TIMEOUT_MS);
  let text = "";
  try {
    while (text.length < MAX_REFUSAL_LENGTH) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += decoder.decode(value, { stream: true });
    }
    await reader.cancel();
    return text.slice(0, MAX_REFUSAL_LENGTH);
  } finally {
    clearTimeout(timer);
  }
}

function isEventStream({ headers }: Response): boolean {
  return headers.get("content-type")?.startsWith("text/event-stream") ?? false;
}
