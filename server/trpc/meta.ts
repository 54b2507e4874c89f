// What a procedure says about itself beside its schemas: its rate limit, its callers, its REST operation.
import type { ErrorCode } from "../../shared/src/errors.ts";
import type { RateTier } from "./limits.ts";

/** Who may call. */
export type Access = "public" | "user" | "service" | "admin";

/** The methods of REST operations. */
export type RestMethod = "GET" | "POST" | "PATCH" | "DELETE";

/** The REST operation that calls a procedure. Handlers and the OpenAPI document are made from it. */
export interface RestMeta {
  /**
   * GET for queries and streams, the others for mutations. Names in braces are fields of the input:
   * `POST /api/ai/runs/{runId}/stop`.
   */
  readonly route: `${RestMethod} /api/${string}`;
  readonly summary: string;
  /** Codes it may return beside those that every operation of its kind may. */
  readonly errors?: readonly ErrorCode[];
  /** The refresh cookie may stand in for a token in the body. */
  readonly takesCookie?: true;
}

/** Per-procedure facts that the middleware and the REST surface read. */
export interface ProcedureMeta {
  /** The rate-limit tier, when it is not the caller's usual one. */
  readonly tier?: RateTier;
  /** Ends sign-ins: never refused because of what else was called. */
  readonly logout?: true;
  /** May answer with a refresh cookie, set or cleared. No streamed batch may name it: its headers leave before the calls end. */
  readonly setsCookie?: true;
  readonly access?: Access;
  readonly rest?: RestMeta;
}
