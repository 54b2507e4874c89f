// Makes the API fail on request: error responses, broken bodies, hangs, and connections cut before or after the work.
import type { ServerResponse } from "node:http";
import type { ApiAnswer, FailingWork } from "./api.ts";
import { type ApiError, apiError } from "./wire.ts";

export const API_FAULTS = [
  "401",
  "403",
  "429",
  "500",
  "500-after",
  "502-empty",
  "html",
  "html-200",
  "half",
  "hang",
  "hang-after",
  "cut-before",
  "cut-after",
  "slow",
] as const;

/**
 * `…-after` and `half` do the work before they fail. `slow` waits `delayMs`, then does the work and responds
 * normally; a second request with the same idempotency key meanwhile gets 409. The others do no work.
 * `502-empty` responds with `{}`, and `half` cuts the connection mid-body.
 */
export type ApiFault = (typeof API_FAULTS)[number];

export interface ApiRule {
  fault: ApiFault;
  /** How many requests it affects. Defaults to 1; `Infinity` = until `wellBehaved()`. */
  times?: number;
  method?: string;
  /** A substring of the paths it affects, e.g. `/v1/refunds`. */
  path?: string;
  /** For `slow`. Defaults to 1000. */
  delayMs?: number;
  /**
   * For `500` and `500-after`: saves the failure under the request's idempotency key, so that every request
   * with that key gets it for a day, as at Stripe.
   */
  saved?: boolean;
  /** For `500` and `500-after`: the error to respond with. Defaults to a 500 `api_error`. */
  error?: Omit<ApiError, "kind">;
  /** For `429`. Defaults to 1. */
  retryAfterSeconds?: number;
}

export interface Misbehaviour {
  add(rule: ApiRule): void;
  clear(): void;
  rules(): ApiRule[];
  /** The rule that affects this request, if any. Uses one of its `times`. */
  take(method: string, path: string): ApiRule | undefined;
  /** Responds as the rule says. `work` executes the request; `hold` marks its idempotency key busy. */
  answer(
    rule: ApiRule,
    res: ServerResponse,
    work: (failing?: FailingWork) => ApiAnswer,
    hold: (busy: boolean) => void,
  ): Promise<void>;
}

const MAX_RULES = 100;

function json(status: number, type: string, message: string, code?: string): ApiAnswer {
  return {
    status,
    headers: { "Content-Type": "application/json", "Request-Id": "req_sandbox_fault" },
    body: JSON.stringify({ error: { ...(code ? { code } : {}), message, type } }),
  };
}

function send(res: ServerResponse, answer: ApiAnswer): void {
  res.writeHead(answer.status, answer.headers).end(answer.body);
}

/** Creates an empty set of rules. */
export function createMisbehaviour(): Misbehaviour {
  let rules: (ApiRule & { left: number })[] = [];
  return {
    add: (rule) => {
      rules = [...rules, { ...rule, left: rule.times ?? 1 }].slice(-MAX_RULES);
    },
    clear: () => {
      rules = [];
    },
    rules: () => rules.map(({ left, ...rule }) => ({ ...rule, times: left })),
    take: (method, path) => {
      const rule = rules.find(
        (it) =>
          (it.method === undefined || it.method.toUpperCase() === method) &&
          (it.path === undefined || path.includes(it.path)),
      );
      if (rule === undefined) return undefined;
      rule.left -= 1;
      if (rule.left <= 0) rules = rules.filter((it) => it !== rule);
      return rule;
    },
    answer: respondWithFault,
  };
}

const UNKNOWN_ERROR: NonNullable<ApiRule["error"]> = {
  status: 500,
  type: "api_error",
  message: "An unknown error occurred",
};

/** The response that a fault sends instead of the real one; undefined for faults that send none of their own. */
function refusalOf(rule: ApiRule): ApiAnswer | undefined {
  const { fault, retryAfterSeconds = 1, error = UNKNOWN_ERROR } = rule;
  switch (fault) {
    case "401":
      return json(401, "invalid_request_error", "Invalid API Key provided: sk_test_****");
    case "403":
      return json(
        403,
        "invalid_request_error",
        "The provided key 'rk_test_****' does not have the required permissions for this endpoint on account 'acct_1SandboxSkywork'.",
      );
    case "429": {
      const refusal = json(
        429,
        "invalid_request_error",
        "Too many requests hit the API too quickly.",
        "rate_limit",
      );
      const headers = { ...refusal.headers, "Retry-After": String(retryAfterSeconds) };
      return { ...refusal, headers };
    }
    case "500":
    case "500-after":
      return json(error.status, error.type, error.message, error.code);
    case "502-empty":
      return { status: 502, headers: { "Content-Type": "application/json" }, body: "{}" };
    case "html":
    case "html-200":
      return {
        status: fault === "html" ? 503 : 200,
        headers: { "Content-Type": "text/html" },
        body: "<html><body><h1>We are down for maintenance</h1></body></html>",
      };
    case "half":
    case "hang":
    case "hang-after":
    case "cut-before":
    case "cut-after":
    case "slow":
      return undefined;
  }
}

function sendHalf(res: ServerResponse, { status, headers, body }: ApiAnswer): void {
  res.writeHead(status, { ...headers, "Content-Length": String(Buffer.byteLength(body)) });
  res.write(body.slice(0, Math.floor(body.length / 2)), () => res.socket?.destroy());
}

const respondWithFault: Misbehaviour["answer"] = async (rule, res, work, hold) => {
  const { fault } = rule;
  if (rule.saved === true && (fault === "500" || fault === "500-after")) {
    const error = apiError(rule.error ?? UNKNOWN_ERROR);
    send(res, work({ moment: fault === "500" ? "before" : "after", error }));
    return;
  }
  if (fault.endsWith("-after")) work();
  const refusal = refusalOf(rule);
  if (refusal !== undefined) send(res, refusal);
  else if (fault === "half") sendHalf(res, work());
  else if (fault === "cut-before" || fault === "cut-after") res.socket?.destroy();
  else if (fault === "slow") {
    hold(true);
    try {
      await new Promise((wake) => setTimeout(wake, rule.delayMs ?? 1000));
    } finally {
      hold(false);
    }
    send(res, work());
  }
  // "hang" and "hang-after" send nothing.
};
