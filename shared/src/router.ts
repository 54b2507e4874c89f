// AppRouter: the tRPC router's type, built from plain types generated from the contract, so no server type can leak in.
import type {
  TRPCBuiltRouter,
  TRPCDefaultErrorShape,
  TRPCMutationProcedure,
  TRPCQueryProcedure,
  TRPCSubscriptionProcedure,
} from "@trpc/server";
import type { AppErrorData } from "./errors.ts";
import type { ProcedureTypes } from "./procedure-types.ts";
import type { ProcedureKind } from "./procedure.ts";

/** An error as the client receives it: tRPC's own shape plus `data.app`. */
export interface AppErrorShape extends TRPCDefaultErrorShape {
  data: TRPCDefaultErrorShape["data"] & { app: AppErrorData };
}

interface AnyProcedureTypes {
  kind: ProcedureKind;
  input: unknown;
  output: unknown;
}

interface Def<Types extends AnyProcedureTypes> {
  input: Types["input"];
  output: Types["output"];
  meta: unknown;
}

type Procedure<Types extends AnyProcedureTypes> = Types["kind"] extends "query"
  ? TRPCQueryProcedure<Def<Types>>
  : Types["kind"] extends "mutation"
    ? TRPCMutationProcedure<Def<Types>>
    : TRPCSubscriptionProcedure<{
        input: Types["input"];
        output: AsyncIterable<Streamed<Types>, void, unknown>;
        meta: unknown;
      }>;

/** One event of a stream: tracked ones reach the client as `{ id, data }`. */
type Streamed<Types extends AnyProcedureTypes> = Types["kind"] extends "trackedSubscription"
  ? { id: string; data: Types["output"] }
  : Types["output"];

type Procedures<Router> = {
  [Name in keyof Router]: Router[Name] extends AnyProcedureTypes ? Procedure<Router[Name]> : never;
};

/** The type to pass to `createTRPCClient<AppRouter>` or `createTRPCReact<AppRouter>`. */
export type AppRouter = TRPCBuiltRouter<
  { ctx: object; meta: object; errorShape: AppErrorShape; transformer: false },
  { [Name in keyof ProcedureTypes]: Procedures<ProcedureTypes[Name]> }
>;
