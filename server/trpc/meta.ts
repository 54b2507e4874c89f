// What a procedure declares about itself besides its schemas: its rate limit, its callers, its REST operation.
import type { ErrorCode } from "../../shared/src/errors.ts";
import type { RateTier } from "./limits.ts";

/** Who may call. */
export type Access = "public" | "user" | "service" | "admin";

/** The methods of REST operations. */
export type RestMethod = "GET" | "POST" | "PATCH" | "DELETE";

/** The REST operation that calls a procedure. Handlers and the OpenAPI document are built from it. */
export interface RestMeta {
  /**
   * GET for queries and streams, any other method for mutations. Names in braces are input fields:
   * `POST /api/ai/runs/{runId}/stop`.
   */
  readonly route: `${RestMethod} /api/${string}`;
  readonly summary: string;
  /** Codes it may return in addition to those of every operation of its kind. */
  readonly errors?: readonly ErrorCode[];
  /** Whether the refresh cookie may stand in for a token in the body. */
  readonly takesCookie?: true;
}

/** Facts about a procedure that the middleware and the REST layer read. */
export interface ProcedureMeta {
  /** A rate-limit tier: in place of a public procedure's usual one, in addition to a user procedure's. */
  readonly tier?: RateTier;
  /** Ends sign-ins, so no other calls may get it refused. */
  readonly logout?: true;
  /** May set or clear the refresh cookie. Refused in a streamed batch, whose headers are sent before its calls end. */
  readonly setsCookie?: true;
  readonly access?: Access;
  readonly rest?: RestMeta;
}
