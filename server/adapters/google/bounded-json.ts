// Fetches JSON from another server without trusting it: bounded in time and size, no redirects.
import { jsonOrUndefined } from "../../lib/json.ts";

/** The response. `json` is undefined when the body was not JSON. */
export interface JsonAnswer {
  readonly status: number;
  readonly json: unknown;
}

/** Thrown when no complete response arrived: refused, reset, timed out, redirected or too long. */
export class NoResponseError extends Error {
  override readonly name = "NoResponseError";
}

/** Fetches `url`, body included, within `timeoutMs` and up to `maxBytes`. Throws NoResponseError. */
export async function fetchJson(
  url: URL,
  init: { method?: "GET" | "POST"; headers?: Record<string, string>; body?: string },
  bounds: { timeoutMs: number; maxBytes: number },
): Promise<JsonAnswer> {
  try {
    const response = await fetch(url, {
      ...init,
      headers: { Accept: "application/json", ...init.headers },
      redirect: "error",
      signal: AbortSignal.timeout(bounds.timeoutMs),
    });
    const text = await readText(response, bounds.maxBytes);
    return { status: response.status, json: jsonOrUndefined(text) };
  } catch (error) {
    if (error instanceof NoResponseError) throw error;
    throw new NoResponseError(`no answer from ${url.origin}`, { cause: error });
  }
}

async function readText(response: Response, maxBytes: number): Promise<string> {
  if (response.body === null) return "";
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the stream and with it the connection.
    if (bytes > maxBytes) throw new NoResponseError(`the answer exceeds ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
