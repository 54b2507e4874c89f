// The debt of somebody with more former accounts than are carried over at one sign-in.
import { expect, it } from "vitest";
import { carryDebt } from "../../../server/auth/sign-in/carry-debt.store.ts";
import type { DatabaseTransaction } from "../../../server/database/ports.ts";
import type { Ledger } from "../../../server/ledger/ports.ts";

type Find = { where: { id: { in: string[] } }; take?: number };

it("is carried over from accounts that are locked, and from no others", async () => {
  const accounts = Array.from({ length: 30 }, (_, index) => ({
    id: `account-${index}`,
    credits: -1,
    ledgerSeq: 1,
  }));
  const locked = new Set<unknown>();
  const moved = new Set<string>();
  const tx = {
    sql: {
      dialect: "mysql",
      query: async (_statement: string, values: unknown[]) => void locked.add(values[0]),
    },
    models: {
      formerAccount: { findMany: async () => accounts.map(({ id }) => ({ erasedUserId: id })) },
      user: {
        // As a database may: in another order each time where none is asked for.
        findMany: async ({ where, take = accounts.length }: Find) =>
          accounts
            .reverse()
            .filter(({ id }) => where.id.in.includes(id))
            .slice(0, take),
      },
    },
  } as unknown as DatabaseTransaction;
  const applyIn = async (_tx: unknown, operations: readonly { userId: string }[]) => {
    for (const { userId } of operations) moved.add(userId);
    return [];
  };
  const ledger = { applyIn } as unknown as Pick<Ledger, "applyIn">;
  expect(await carryDebt(tx, ledger, "identity", "user")).toBe(true);
  expect(moved.size).toBe(21);
  expect(locked).toEqual(moved);
});
