// The server's router matches the contract exactly: the same names, kinds, inputs and outputs.
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";
import { expect, expectTypeOf, test } from "vitest";
import { appRouter } from "../../server/routers/app.ts";
import { contract } from "../../shared/src/contract.ts";
import type { AnyProcedureContract } from "../../shared/src/procedure.ts";
import type { AppRouter } from "../../shared/src/router.ts";

type Served = typeof appRouter;

interface ProcedureDef {
  readonly _def: { readonly type: string; readonly inputs: readonly unknown[] };
}

const promised = Object.entries(contract).flatMap(([router, procedures]) =>
  Object.entries<AnyProcedureContract>(procedures).map(
    ([name, procedure]) => [`${router}.${name}`, procedure] as const,
  ),
);
const served = Object.entries(appRouter._def.procedures) as unknown as [string, ProcedureDef][];

test("the server serves every procedure of the contract, and no other", () => {
  expect(served.map(([path]) => path).toSorted()).toEqual(
    promised.map(([path]) => path).toSorted(),
  );
});

test.each(promised)(
  "%s is of the promised kind and reads the promised input",
  (path, procedure) => {
    const def = served.find(([name]) => name === path)?.[1]._def;
    expect(def?.type).toBe(
      procedure.kind === "trackedSubscription" ? "subscription" : procedure.kind,
    );
    expect(def?.inputs).toEqual([procedure.input]);
  },
);

test("what goes in and comes out is, to the compiler, what AppRouter tells clients", () => {
  expectTypeOf<inferRouterInputs<Served>>().toEqualTypeOf<inferRouterInputs<AppRouter>>();
  expectTypeOf<inferRouterOutputs<Served>>().toEqualTypeOf<inferRouterOutputs<AppRouter>>();
});
