// The REST surface as a list, read from the procedures' own metadata.
import type { z } from "zod";
import { contract } from "../../../shared/src/contract.ts";
import type { AnyProcedureContract } from "../../../shared/src/procedure.ts";
import type { Access, RestMeta, RestMethod } from "../../trpc/meta.ts";
import { procedures } from "../trpc/procedures.ts";

/** One REST operation and the procedure behind it. */
export interface RestOperation extends Omit<RestMeta, "route"> {
  readonly method: RestMethod;
  readonly path: string;
  /** `credit.spend` */
  readonly procedure: string;
  readonly type: "query" | "mutation" | "subscription";
  readonly access: Access;
  readonly input: z.ZodType;
  /** For a stream, the output of one event. */
  readonly output: z.ZodType;
  /** Names of its path parameters. */
  readonly pathParameters: readonly string[];
}

/** Every operation, in the order of the routers. */
export const REST_OPERATIONS: readonly RestOperation[] = Array.from(procedures).flatMap(
  ([procedure, { _def }]) => {
    const { rest: meta, access } = _def.meta ?? {};
    if (meta === undefined || access === undefined) return [];
    const { route, ...rest } = meta;
    const [method, path] = route.split(" ") as [RestMethod, string];
    const { input, output } = contractOf(procedure);
    const pathParameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
    const { type } = _def;
    return [{ ...rest, method, path, procedure, type, access, input, output, pathParameters }];
  },
);

function contractOf(procedure: string): AnyProcedureContract {
  const [router = "", name = ""] = procedure.split(".");
  const routers: Record<string, Record<string, AnyProcedureContract>> = contract;
  const found = routers[router]?.[name];
  if (!found) throw new Error(`The contract lacks ${procedure}.`);
  return found;
}
