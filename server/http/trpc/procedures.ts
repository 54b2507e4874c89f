// The router's procedures by name, as tRPC's own adapters see them, and the bounds of /api/trpc.
import { appRouter } from "../../routers/app.ts";
import type { Context } from "../../trpc/context.ts";

/** Where the router is mounted. */
export const TRPC_PREFIX = "/api/trpc/";

/** Most calls in one batch. */
export const MAX_BATCH_SIZE = 10;

/** A procedure as tRPC's own adapters call it. */
export interface Procedure {
  readonly _def: { readonly type: "query" | "mutation" | "subscription" };
  (call: {
    path: string;
    getRawInput: () => Promise<unknown>;
    ctx: Context;
    type: "query" | "mutation";
    signal: AbortSignal;
    batchIndex: number;
  }): Promise<unknown>;
}

// The types show the routers nested; at run time the names are flat: `credit.spend`.
export const procedures: ReadonlyMap<string, Procedure> = new Map(
  Object.entries(appRouter._def.procedures as unknown as Record<string, Procedure>),
);

/** What tRPC shapes errors by. */
export const routerConfig = appRouter._def._config;
