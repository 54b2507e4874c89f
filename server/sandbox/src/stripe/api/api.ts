// Handles one API request: authentication, routing, idempotency and the response, all in one synchronous step.
import { createHash, timingSafeEqual } from "node:crypto";
import { expand } from "./expand.ts";
import type { Call, Route } from "./route.ts";
import type { Json } from "../objects/types.ts";
import { type ApiError, apiError, errorBody, fieldsOf, isApiError, parseForm } from "./wire.ts";
import type { World } from "../state/world.ts";

export interface ApiRequest {
  method: string;
  path: string;
  query: string;
  body: string;
  contentType: string;
  authorization: string;
  idempotencyKey: string | null;
  stripeVersion: string | null;
}

export interface ApiAnswer {
  status: number;
  headers: { [name: string]: string };
  body: string;
}

export interface StoredAnswer {
  fingerprint: string;
  status: number;
  body: string;
  requestId: string;
  storedAt: number;
}

const MAX_KEYS = 20_000;
const KEY_LIFE_SECONDS = 24 * 3600;

function sameSecret(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function bearer(authorization: string): string {
  const [scheme = "", value = ""] = authorization.split(" ", 2);
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() === "basic") {
    return Buffer.from(value, "base64").toString("utf8").split(":", 1)[0] ?? "";
  }
  return "";
}

/** Decodes a path parameter. One with a malformed escape is returned as is, and matches no id. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function redact(key: string): string {
  return key.length < 12 ? "****" : `${key.slice(0, 8)}${"*".repeat(8)}${key.slice(-4)}`;
}

/** The API's dependencies. */
interface ApiDeps {
  world: World;
  routes: Route[];
  secretKey: string;
  apiVersion: string;
  /** Saved responses by idempotency key. */
  stored: Map<string, StoredAnswer>;
}

interface ApiState extends ApiDeps {
  compiled: { route: Route; pattern: RegExp }[];
  busyKeys: Set<string>;
}

/** An injected failure of a request, raised before or after its effect. */
export interface FailingWork {
  readonly moment: "before" | "after";
  readonly error: ApiError;
}

/**
 * Creates the API. `answer` handles one request. `busyKeys` holds the idempotency keys of requests that a
 * misbehaviour is delaying, so that a second request with the key gets 409, as at Stripe.
 */
export function createApi(given: ApiDeps): {
  /** `failing` makes the request fail; a 402 or 500 is saved under its idempotency key. */
  answer(request: ApiRequest, failing?: FailingWork): ApiAnswer;
  busyKeys: Set<string>;
} {
  const compiled = given.routes.map((route) => ({
    route,
    pattern: new RegExp(`^${route.path.replace(/:[a-z]+/g, "([^/]+)")}$`),
  }));
  const state: ApiState = { ...given, compiled, busyKeys: new Set() };
  return {
    busyKeys: state.busyKeys,
    answer: (request, failing) => answer(state, request, failing),
  };
}

function authenticate(request: ApiRequest, secretKey: string): void {
  const key = bearer(request.authorization);
  if (key === "") {
    throw apiError({
      status: 401,
      type: "invalid_request_error",
      message:
        "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
    });
  }
  if (!sameSecret(key, secretKey)) {
    throw apiError({
      status: 401,
      type: "invalid_request_error",
      message: `Invalid API Key provided: ${redact(key)}`,
    });
  }
}

/** Routes the request to its endpoint. Throws 404 when there is none. */
function run({ world, compiled }: ApiState, request: ApiRequest): Json {
  for (const { route, pattern } of compiled) {
    if (route.method !== request.method) continue;
    const match = pattern.exec(request.path);
    if (match === null) continue;
    if (request.body !== "" && !request.contentType.includes("x-www-form-urlencoded")) {
      throw apiError({
        status: 400,
        type: "invalid_request_error",
        message:
          "Invalid request (check that your POST content type is application/x-www-form-urlencoded).",
      });
    }
    const fields = fieldsOf(
      parseForm(request.method === "POST" ? request.body : request.query || request.body),
    );
    const paths = fields.texts("expand");
    const call: Call = { world, ids: match.slice(1).map(decode), fields };
    const out = route.handle(call);
    return paths.length === 0 ? out : expand(world, out, paths);
  }
  throw apiError({
    status: 404,
    type: "invalid_request_error",
    message: `Unrecognized request URL (${request.method}: ${request.path}). The sandbox speaks the part of Stripe's API that this project uses.`,
  });
}

/**
 * The response saved under the request's idempotency key, if any. Throws 409 while the first request with the
 * key is in flight, 400 when the parameters differ.
 */
function keptAnswer(
  { world, stored, busyKeys }: ApiState,
  key: string,
  fingerprint: string,
): StoredAnswer | undefined {
  if (key.length > 255) {
    throw apiError({
      status: 400,
      type: "idempotency_error",
      message: "Idempotency keys must be at most 255 characters long.",
    });
  }
  if (busyKeys.has(key)) {
    throw apiError({
      status: 409,
      type: "idempotency_error",
      code: "idempotency_key_in_use",
      message:
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through). Please try again later.",
    });
  }
  const found = stored.get(key);
  if (found === undefined || found.storedAt < world.wallNow() - KEY_LIFE_SECONDS) return undefined;
  if (found.fingerprint !== fingerprint) {
    throw apiError({
      status: 400,
      type: "idempotency_error",
      message: `Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '${key}' if you meant to execute a different request.`,
    });
  }
  return found;
}

function keep(stored: Map<string, StoredAnswer>, key: string, kept: StoredAnswer): void {
  stored.set(key, kept);
  for (const oldest of stored.keys()) {
    if (stored.size <= MAX_KEYS) break;
    stored.delete(oldest);
  }
}

function answer(state: ApiState, request: ApiRequest, failing?: FailingWork): ApiAnswer {
  const { world, stored } = state;
  const requestId = world.newId("req", 14);
  const key = request.method === "POST" ? request.idempotencyKey : null;
  const headers: ApiAnswer["headers"] = {
    "Content-Type": "application/json",
    "Request-Id": requestId,
    "Stripe-Version": request.stripeVersion ?? state.apiVersion,
    "Cache-Control": "no-cache, no-store",
    ...(key === null ? {} : { "Idempotency-Key": key }),
  };
  const fingerprint = createHash("sha256")
    .update(`${request.method} ${request.path}?${request.query}\n${request.body}`)
    .digest("base64");
  let isKept = false;
  let status = 200;
  let body: string;
  try {
    authenticate(request, state.secretKey);
    const before = key === null ? undefined : keptAnswer(state, key, fingerprint);
    if (before !== undefined) {
      const replayed = { "Idempotent-Replayed": "true", "Original-Request": before.requestId };
      return { status: before.status, headers: { ...headers, ...replayed }, body: before.body };
    }
    world.request = { id: requestId, idempotencyKey: key };
    if (failing?.moment === "before") throw failing.error;
    body = `${JSON.stringify(run(state, request), null, 2)}\n`;
    if (failing !== undefined) throw failing.error;
    isKept = true;
  } catch (error) {
    if (!isApiError(error)) throw error;
    status = error.status;
    // Stripe saves the outcome once an endpoint has begun to execute (a declined card), but not a failed validation.
    isKept = status === 402 || status === 500;
    body = errorBody(error, requestId);
  } finally {
    world.request = { id: null, idempotencyKey: null };
  }
  if (isKept && key !== null) {
    keep(stored, key, { fingerprint, status, body, requestId, storedAt: world.wallNow() });
  }
  return { status, headers, body };
}
