// The router's procedures by name, as tRPC's own adapters see them.
import type { TRPCError } from "@trpc/server";
import { appRouter } from "../../routers/app.ts";
import type { Context } from "../../trpc/context.ts";
import type { ProcedureMeta } from "../../trpc/meta.ts";

/** A procedure as tRPC's builder makes it: a chain of middleware whose last link is the procedure itself. */
export interface Procedure {
  readonly _def: {
    readonly type: "query" | "mutation" | "subscription";
    readonly meta?: ProcedureMeta;
    readonly middlewares: readonly Middleware[];
  };
}

/** One link of the chain; a failure further down comes back as a result that is not ok. */
export type Middleware = (given: MiddlewareInput) => Promise<MiddlewareResult>;

/** What tRPC passes to a middleware. */
export interface MiddlewareInput {
  readonly path: string;
  readonly type: "query" | "mutation";
  readonly meta: unknown;
  readonly ctx: Context;
  readonly input: unknown;
  readonly batchIndex: number;
  readonly signal: AbortSignal;
  readonly getRawInput: () => Promise<unknown>;
  readonly next: (changed?: MiddlewareChange) => Promise<MiddlewareResult>;
}

/** What a middleware changes for the links after it. */
export interface MiddlewareChange {
  readonly ctx?: object;
  readonly input?: unknown;
  readonly getRawInput?: () => Promise<unknown>;
}

/** The result of a middleware. */
export type MiddlewareResult =
  | { readonly ok: true; readonly data: unknown }
  | { readonly ok: false; readonly error: TRPCError };

// The types nest the routers, but at run time the names are flat: `credit.spend`.
export const procedures: ReadonlyMap<string, Procedure> = new Map(
  Object.entries(appRouter._def.procedures as unknown as Record<string, Procedure>),
);

/** The configuration by which tRPC shapes errors. */
export const routerConfig = appRouter._def._config;
