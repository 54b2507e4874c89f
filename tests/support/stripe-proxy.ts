// A proxy in front of the Stripe sandbox that answers for it as Stripe does in its bad moments: failures saved
// under an idempotency key and replayed, refused keys, refusals in words only.
import type { IncomingHttpHeaders } from "node:http";
import { serve } from "./ports.ts";

/** What the proxy answers instead. */
export interface ProxyFault {
  readonly method?: string;
  /** Part of the path. */
  readonly path: string;
  /** Requests it hits; defaults to 1. */
  readonly times?: number;
  readonly status: number;
  readonly error?: { type: string; message: string; code?: string; param?: string };
  /** Lets the sandbox do the work first. */
  readonly after?: boolean;
  /** Saves the answer under the request's idempotency key: it is replayed from then on. */
  readonly saved?: boolean;
}

export type StripeProxy = Awaited<ReturnType<typeof startStripeProxy>>;

function forwarded(headers: IncomingHttpHeaders): Record<string, string> {
  const names = ["authorization", "content-type", "idempotency-key", "stripe-version"];
  const sent = names.filter((name) => headers[name] !== undefined);
  return Object.fromEntries(sent.map((name) => [name, String(headers[name])]));
}

/** Starts the proxy on a free port of loopback. */
export async function startStripeProxy(target: string) {
  let faults: (ProxyFault & { left: number })[] = [];
  let seen: string[] = [];
  const saved = new Map<string, { status: number; body: string }>();

  const take = (method: string, path: string): ProxyFault | undefined => {
    const fault = faults.find(
      (it) => path.includes(it.path) && (it.method === undefined || it.method === method),
    );
    if (fault === undefined) return undefined;
    fault.left -= 1;
    if (fault.left <= 0) faults = faults.filter((it) => it !== fault);
    return fault;
  };

  const { url, close } = await serve((req, res) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of req) chunks.push(chunk as Buffer);
      const method = req.method ?? "GET";
      const path = (req.url ?? "").split("?")[0] ?? "";
      const key = req.headers["idempotency-key"];
      seen.push(`${method} ${path} ${typeof key === "string" ? key : ""}`.trim());
      const pass = async () => {
        const answer = await fetch(`${target}${req.url ?? ""}`, {
          method,
          headers: forwarded(req.headers),
          ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
        });
        const replayed = answer.headers.get("idempotent-replayed");
        return { status: answer.status, body: await answer.text(), replayed: replayed === "true" };
      };
      const send = (answer: { status: number; body: string }, replayed: boolean) =>
        res
          .writeHead(answer.status, {
            "Content-Type": "application/json",
            "Request-Id": "req_proxy",
            ...(replayed ? { "Idempotent-Replayed": "true" } : {}),
          })
          .end(answer.body);
      const before = typeof key === "string" ? saved.get(key) : undefined;
      if (before !== undefined) return send(before, true);
      const fault = take(method, path);
      if (fault === undefined) {
        const answer = await pass();
        return send(answer, answer.replayed);
      }
      if (fault.after === true) await pass();
      const error = fault.error ?? { type: "api_error", message: "An unknown error occurred" };
      const answer = { status: fault.status, body: JSON.stringify({ error }) };
      if (fault.saved === true && typeof key === "string") saved.set(key, answer);
      return send(answer, false);
    })().catch(() => res.destroy());
  });
  return {
    url,
    add: (fault: ProxyFault) => {
      faults.push({ ...fault, left: fault.times ?? 1 });
    },
    clear: () => {
      faults = [];
    },
    /** `METHOD path key` of every request since the last call, the query left out. */
    requests: () => {
      const since = seen;
      seen = [];
      return since;
    },
    close,
  };
}
