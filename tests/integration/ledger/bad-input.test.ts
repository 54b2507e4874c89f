// The ledger refuses what is malformed or not the caller's, with a typed error and without effect.
import { describe, expect, test } from "vitest";
import { available } from "../../support/backend.ts";
import { auditRows } from "../../support/ledger-audit.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";
import { codeOf } from "../../support/code-of.ts";
import { reserve, spend } from "../../support/operations.ts";

describe("bad input", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });

  const credits = async (userId: string) => {
    const user = await world.models.user.findUniqueOrThrow({
      where: { id: userId },
    });
    return user.credits;
  };

  test.each([0, -1, 1.5, 2 ** 53, Number.NaN, "5"])(
    "an amount of %s is refused",
    async (amount) => {
      const userId = await world.createUser(10);
      const operation = { ...spend(userId, "bad"), amountCredits: amount as number };
      expect(await codeOf(world.ledger.submit(operation))).toBe("VALIDATION_FAILED");
    },
  );

  test.each(["", "x".repeat(300), "käse", "🐟", "a b"])("wrong key %# is refused", async (key) => {
    const userId = await world.createUser(10);
    expect(await codeOf(world.ledger.submit(spend(userId, key)))).toBe("VALIDATION_FAILED");
  });

  test("metadata over 4 kB or with prototype keys returns VALIDATION_FAILED", async () => {
    const userId = await world.createUser(10);
    const polluted = JSON.parse('{"__proto__": "x"}') as Record<string, unknown>;
    for (const metadata of [{ text: "x".repeat(4096) }, polluted])
      expect(await codeOf(world.ledger.submit({ ...spend(userId, "m"), metadata }))).toBe(
        "VALIDATION_FAILED",
      );
    expect(await credits(userId)).toBe(10);
  });

  test("another user's hold, one that was never there and an expired one are refused by their codes", async () => {
    const mine = await world.createUser(10);
    const other = await world.createUser(10);
    const { holdId } = await world.ledger.submit(
      reserve(other, "h", 5, { feature: null, priceVersion: null, ttlSeconds: 5 }),
    );
    const settle = (userId: string, id: string) =>
      codeOf(world.ledger.submit({ kind: "settle", userId, holdId: id }));
    expect(await settle(mine, holdId)).toBe("NOT_FOUND");
    expect(await settle(mine, "nothing")).toBe("NOT_FOUND");
    world.clock.aheadMs += 6 * 1_000;
    expect(await settle(other, holdId)).toBe("HOLD_NOT_ACTIVE");
    expect(await codeOf(world.ledger.submit(spend("nobody", "k")))).toBe("NOT_FOUND");
    expect(await auditRows(world.models)).toEqual([]);
  });
});
