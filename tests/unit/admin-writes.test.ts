// What an administrator writes is told of also where the database does not say that it is there.
import { expect, it } from "vitest";
import { type AdminServiceDeps, createAdminService } from "../../server/admin/admin.service.ts";
import type { Principal } from "../../server/auth/auth.types.ts";
import { AppError, notFound } from "../../server/lib/errors.ts";
import { silent } from "../support/silent.ts";

const admin = { userId: "a1" } as Principal;

it.each([
  ["lost", AppError.of("SERVICE_UNAVAILABLE", "Lost.", { retryAfterSeconds: 1 }), true],
  ["refused", notFound("user"), false],
])("tells of a write whose answer is %s: %s", async (_how, error, isTold) => {
  const told: string[] = [];
  const refuse = () => Promise.reject(error);
  const service = createAdminService({
    store: { adjust: refuse, setRole: refuse },
    ledger: { changed: async (userIds: readonly string[]) => void told.push(...userIds) },
    invalidateSessions: async () => void told.push("sessions"),
    logger: silent,
  } as unknown as AdminServiceDeps);
  const correction = { userId: "u1", amount: 5, reason: "A test", idempotencyKey: "k" };
  await expect(service.adjustCredits(admin, correction, null)).rejects.toBe(error);
  await expect(service.setRole(admin, { userId: "u1", role: "ADMIN" }, null)).rejects.toBe(error);
  expect(told).toEqual(isTold ? ["u1", "sessions"] : []);
});
