// The doctor's proofs are dated by the database's clock, because an instance's own may be off by any amount.
import { expect, test, vi } from "vitest";
import { auditLedger } from "../../../server/ledger/audit/audit.ts";
import { available } from "../../support/backend.ts";
import { spend } from "../../support/operations.ts";
import { useTestApp } from "../../support/use-app.ts";

const world = useTestApp({ available });

const goOn = (now = Date.now) =>
  auditLedger({ database: world.backend.database, whole: false, smallEntries: 0, now });

test("relies on no proof from the future, and dates its own by the database's clock", async () => {
  const { models } = world;
  const userId = await world.createUser(100);
  await world.ledger.submit(spend(userId, "user:1", 1));
  const editOld = (amount: number) =>
    models.creditLog.updateMany({ where: { userId, seq: 2 }, data: { amount } });
  const old = await models.creditLog.findFirstOrThrow({ where: { userId, seq: 2 } });
  await goOn(() => Date.now() + 365 * 86_400_000);
  await editOld(old.amount - 1);
  expect((await goOn(() => Date.now() + 8 * 86_400_000)).violations).not.toEqual([]);
  await editOld(old.amount);
  // Proven wholly long ago, and gone on from by a clock far ahead.
  await goOn();
  const provenAt = new Date(Date.now() + 365 * 86_400_000);
  await models.ledgerCheckpoint.updateMany({ data: { provenAt } });
  await editOld(old.amount - 1);
  expect((await goOn()).violations).not.toEqual([]);
  await editOld(old.amount);
  // An instance whose clock is far ahead runs the daily job.
  vi.spyOn(Date, "now").mockReturnValue(Date.now() + 365 * 86_400_000);
  try {
    await auditLedger({ database: world.backend.database, whole: true });
  } finally {
    vi.restoreAllMocks();
  }
  const proofs = await models.ledgerCheckpoint.findMany();
  expect(proofs.length).toBeGreaterThan(0);
  for (const { wholeAt } of proofs) expect(wholeAt.getTime()).toBeLessThan(Date.now() + 3_600_000);
});
