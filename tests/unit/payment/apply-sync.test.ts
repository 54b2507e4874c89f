// Changes written by a sync are published even if the outcome of its COMMIT is unknown.
import { expect, it } from "vitest";
import { AppError } from "../../../server/lib/errors.ts";
import type { PaymentStore } from "../../../server/payment/ports.ts";
import { applySync, type SyncEffect } from "../../../server/payment/sync/apply-sync.ts";

it.each([
  ["SERVICE_UNAVAILABLE", ["u1"]],
  ["INTERNAL", []],
] as const)("tells of a write whose COMMIT ended as %s: %j", async (code, told) => {
  const announced: string[] = [];
  const store = {
    lockedTransaction: () =>
      Promise.reject(
        code === "INTERNAL"
          ? new Error("a bug")
          : AppError.of(code, "Lost.", { retryAfterSeconds: 1 }),
      ),
  } as unknown as PaymentStore;
  const ledger = { changed: async (userIds: readonly string[]) => void announced.push(...userIds) };
  const effect: SyncEffect = { kind: "effect", userId: "u1", apply: async () => "done" };
  await expect(applySync({ store, ledger }, async () => effect)).rejects.toThrow();
  expect(announced).toEqual(told);
});
