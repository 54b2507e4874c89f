// The `service` procedures: what AI workers may do with their key, and what one of them may not do to another.
import { describe, expect, test } from "vitest";
import { serviceRouter } from "../../../server/routers/service.ts";
import { createCallerFactory, toAppError } from "../../../server/trpc/trpc.ts";
import { available } from "../../support/backend.ts";
import { auditRows } from "../../support/ledger-audit.ts";
import { contextOf } from "../../support/request-context.ts";
import { SERVICE_KEY } from "../../support/server-env.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";

const createCaller = createCallerFactory(serviceRouter);

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    return toAppError(error).code;
  }
}

const OTHER_KEY = "o".repeat(40);
const env = { SERVICE_API_KEYS: `worker:${SERVICE_KEY},other:${OTHER_KEY}` };

describe("service keys", () => {
  const world = useTestApp({ available, env, clock: createTestClock("stepping") });

  const as = (bearer: string) => createCaller(contextOf(world, { bearer }));

  test.each(["", "x", SERVICE_KEY.slice(1), `${SERVICE_KEY}x`, "worker", `worker:${SERVICE_KEY}`])(
    "key %# of the wrong ones is refused",
    async (key) => {
      const userId = await world.createUser(10);
      const spend = as(key).spend({ userId, feature: "chat-pro", idempotencyKey: "k" });
      expect(await code(spend)).toBe("UNAUTHENTICATED");
    },
  );

  test("settling for less than was reserved sets the rest free", async () => {
    const userId = await world.createUser(20);
    const worker = as(SERVICE_KEY);
    const hold = await worker.reserve({ userId, amount: 15, idempotencyKey: "r" });
    expect(hold).toMatchObject({ amount: 15, available: 5 });
    const again = await worker.reserve({ userId, amount: 15, idempotencyKey: "r" });
    expect(again).toEqual(hold);
    expect(await code(worker.settle({ holdId: hold.holdId, amount: 16 }))).toBe(
      "VALIDATION_FAILED",
    );
    const settled = await worker.settle({ holdId: hold.holdId, amount: 4 });
    expect(settled).toMatchObject({ charged: 4, available: 16 });
    expect(await code(worker.settle({ holdId: hold.holdId }))).toBe("HOLD_NOT_ACTIVE");
    expect(await code(worker.release({ holdId: hold.holdId }))).toBe("HOLD_NOT_ACTIVE");
    const byFeature = await worker.reserve({ userId, feature: "ppt-edit", idempotencyKey: "f" });
    expect(byFeature.amount).toBe(5);
    const nothing = await worker.settle({ holdId: byFeature.holdId, amount: 0 });
    expect(nothing).toMatchObject({ charged: 0, transactionId: null, available: 16 });
    expect(await auditRows(world.models)).toEqual([]);
  });

  test("a worker that ends or repeats what another began gets NOT_FOUND, or a hold of its own", async () => {
    const userId = await world.createUser(50);
    const hold = await as(SERVICE_KEY).reserve({ userId, amount: 5, idempotencyKey: "same" });
    const other = as(OTHER_KEY);
    expect(await code(other.release({ holdId: hold.holdId }))).toBe("NOT_FOUND");
    expect(await code(other.settle({ holdId: hold.holdId }))).toBe("NOT_FOUND");
    const theirs = await other.reserve({ userId, amount: 5, idempotencyKey: "same" });
    expect(theirs.holdId).not.toBe(hold.holdId);
    const spent = await as(SERVICE_KEY).spend({ userId, feature: "chat-pro", idempotencyKey: "s" });
    expect(spent).toMatchObject({ charged: 5, replayed: false });
    const theirsToo = await other.spend({ userId, feature: "chat-pro", idempotencyKey: "s" });
    expect(theirsToo.replayed).toBe(false);
  });

  test("users that are missing, disabled or deleted, and holds past their time, are refused by their codes", async () => {
    const worker = as(SERVICE_KEY);
    const { models } = world;
    const disabled = await world.createUser(10);
    const deleted = await world.createUser(10);
    await models.user.update({ where: { id: disabled }, data: { disabledAt: new Date() } });
    await models.user.update({ where: { id: deleted }, data: { deletedAt: new Date() } });
    const spend = (userId: string) =>
      code(worker.spend({ userId, feature: "chat-pro", idempotencyKey: "k" }));
    expect(await Promise.all(["nobody", disabled, deleted].map(spend))).toEqual([
      "NOT_FOUND",
      "FORBIDDEN",
      "NOT_FOUND",
    ]);
    const userId = await world.createUser(10);
    const reserve = { userId, amount: 10, idempotencyKey: "t", ttlSeconds: 5 };
    const { holdId } = await worker.reserve(reserve);
    world.clock.aheadMs += 6 * 1_000;
    expect(await code(worker.settle({ holdId }))).toBe("HOLD_NOT_ACTIVE");
    expect(await code(worker.settle({ holdId: "no-such-hold" }))).toBe("NOT_FOUND");
  });

  test.each([
    { amount: 0 },
    { amount: -1 },
    { amount: 1.5 },
    { amount: 2 ** 53 },
    { amount: "5" },
    {},
    { amount: 5, feature: "chat-pro" },
    { amount: 5, ttlSeconds: 0 },
  ])("a reserve of %j is refused", async (wrong) => {
    const userId = await world.createUser(10);
    const input = { userId, idempotencyKey: "k", ...wrong };
    expect(await code(as(SERVICE_KEY).reserve(input as never))).toBe("VALIDATION_FAILED");
  });
});
