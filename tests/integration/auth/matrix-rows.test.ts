// The rows of the authorisation matrix are checked against the router: a procedure without a row fails.
import { describe, expect, it } from "vitest";
import { appRouter } from "../../../server/routers/app.ts";
import { contract } from "../../../shared/src/contract.ts";
import { catalog, rows } from "./matrix-rows.ts";

describe("the authorisation matrix", () => {
  const paths = Object.keys(appRouter._def.procedures).sort();

  it("has a row for every procedure of the router, and the router has every procedure of the contract", () => {
    expect(Object.keys(rows).sort()).toEqual(paths);
    const promised = Object.entries(contract).flatMap(([group, procedures]) =>
      Object.keys(procedures).map((name) => `${group}.${name}`),
    );
    expect(paths).toEqual(promised.sort());
  });

  it("names a foreign id wherever a user's input can hold one", () => {
    const nobody = { userId: "", sessionId: "", email: "", accessToken: "", refreshToken: "" };
    const withOwnIds = paths.filter((path) => {
      const row = rows[path];
      if (row?.caller !== "user" || row.foreign === catalog) return false;
      const input =
        row.input?.({
          other: nobody,
          victim: nobody,
          checkoutSession: "",
          otherRun: "",
        }) ?? {};
      return Object.keys(input).some((key) => key.endsWith("Id"));
    });
    for (const path of withOwnIds) expect(rows[path]?.foreign, path).toBeTypeOf("function");
    expect(withOwnIds).not.toHaveLength(0);
  });
});
