// Calls procedures over HTTP as any client would, and returns what came back.

/** The authorization header for this token. */
export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Calls one procedure. */
export type WireCall = ReturnType<typeof callOver>;

/** Returns a function that calls procedures of the server at `url`. */
export function callOver(url: string) {
  return async (
    path: string,
    kind: "query" | "mutation" | "subscription",
    input?: unknown,
    headers: Record<string, string> = {},
  ) => {
    const target = new URL(`/api/trpc/${path}`, url);
    const abort = new AbortController();
    const init: RequestInit = { headers, signal: abort.signal };
    if (kind === "mutation") {
      init.method = "POST";
      init.headers = { "content-type": "application/json", ...headers };
      init.body = input === undefined ? undefined : JSON.stringify(input);
    } else {
      if (input !== undefined) target.searchParams.set("input", JSON.stringify(input));
      if (kind === "subscription") init.headers = { accept: "text/event-stream", ...headers };
    }
    const response = await fetch(target, init);
    if (kind === "subscription") return firstEvent(response, abort);
    const body = (await response.json()) as {
      result?: { data: unknown };
      error?: { data: { app: { code: string } } };
    };
    return {
      status: response.status,
      data: body.result?.data,
      /** One of the closed list of codes. */
      code: body.error?.data.app.code ?? null,
      response,
    };
  };
}

/** Returns the error code a stream begins with, or null if it really streams. */
async function firstEvent(response: Response, abort: AbortController) {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    if (/"code":"[A-Z_]+"|"credits":/.test(text)) break;
  }
  abort.abort();
  const code = /"app":\{"code":"([A-Z_]+)"/.exec(text)?.[1] ?? null;
  return { status: response.status, data: text, code, response };
}
