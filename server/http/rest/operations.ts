// The REST surface as a list, read from the procedures' own metadata.
import type { z } from "zod";
import { contract } from "../../../shared/src/contract.ts";
import type { AnyProcedureContract } from "../../../shared/src/procedure.ts";
import { appRouter } from "../../routers/app.ts";
import type { Access, ProcedureMeta, RestMeta } from "../../trpc/meta.ts";

/** One REST operation and the procedure behind it. */
export interface RestOperation extends RestMeta {
  /** `credit.spend` */
  readonly procedure: string;
  readonly type: "query" | "mutation" | "subscription";
  readonly access: Access;
  readonly input: z.ZodType;
  /** Of one event, for a stream. */
  readonly output: z.ZodType;
  /** Names of its path parameters. */
  readonly pathParameters: readonly string[];
}

interface Procedure {
  readonly _def: {
    readonly type: RestOperation["type"];
    readonly meta?: ProcedureMeta;
  };
}

// The types show the routers nested; at run time the names are flat: `credit.spend`.
const procedures = Object.entries(
  appRouter._def.procedures as unknown as Record<string, Procedure>,
);

/** Every operation, in the order of the routers. */
export const REST_OPERATIONS: readonly RestOperation[] = procedures.flatMap(
  ([procedure, { _def }]) => {
    const { rest, access } = _def.meta ?? {};
    if (rest === undefined || access === undefined) return [];
    const { input, output } = contractOf(procedure);
    const pathParameters = [...rest.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
    return [{ ...rest, procedure, type: _def.type, access, input, output, pathParameters }];
  },
);

function contractOf(procedure: string): AnyProcedureContract {
  const [router = "", name = ""] = procedure.split(".");
  const routers: Record<string, Record<string, AnyProcedureContract>> = contract;
  const found = routers[router]?.[name];
  if (!found) throw new Error(`The contract lacks ${procedure}.`);
  return found;
}
