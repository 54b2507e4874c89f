// Owns AppRouter: the tRPC router's type, made from the contract alone, so that no server type can leak into it.
import type {
  TRPCBuiltRouter,
  TRPCDefaultErrorShape,
  TRPCMutationProcedure,
  TRPCQueryProcedure,
  TRPCSubscriptionProcedure,
} from "@trpc/server";
import type { z } from "zod";
import type { contract } from "./contract.ts";
import type { AppErrorData } from "./errors.ts";
import type { AnyProcedureContract } from "./procedure.ts";

/** An error as the client receives it: tRPC's own shape plus `data.app`. */
export interface AppErrorShape extends TRPCDefaultErrorShape {
  data: TRPCDefaultErrorShape["data"] & { app: AppErrorData };
}

interface Def<Contract extends AnyProcedureContract> {
  input: z.input<Contract["input"]>;
  output: z.output<Contract["output"]>;
  meta: unknown;
}

type Procedure<Contract extends AnyProcedureContract> = Contract["kind"] extends "query"
  ? TRPCQueryProcedure<Def<Contract>>
  : Contract["kind"] extends "mutation"
    ? TRPCMutationProcedure<Def<Contract>>
    : TRPCSubscriptionProcedure<{
        input: z.input<Contract["input"]>;
        output: AsyncIterable<Streamed<Contract>, void, unknown>;
        meta: unknown;
      }>;

/** One event of a stream: tracked ones reach the client as `{ id, data }`. */
type Streamed<Contract extends AnyProcedureContract> =
  Contract["kind"] extends "trackedSubscription"
    ? { id: string; data: z.output<Contract["output"]> }
    : z.output<Contract["output"]>;

type Procedures<Contracts> = {
  [Name in keyof Contracts]: Contracts[Name] extends AnyProcedureContract
    ? Procedure<Contracts[Name]>
    : never;
};

/** The type to give to `createTRPCClient<AppRouter>` or `createTRPCReact<AppRouter>`. */
export type AppRouter = TRPCBuiltRouter<
  { ctx: object; meta: object; errorShape: AppErrorShape; transformer: false },
  { [Name in keyof typeof contract]: Procedures<(typeof contract)[Name]> }
>;
