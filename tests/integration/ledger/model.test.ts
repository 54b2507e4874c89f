// The whole ledger (writer, SQL, both databases) behaves like the model, and keeps every invariant.
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isAppError } from "../../../server/lib/errors.ts";
import { available } from "../../support/backend.ts";
import { createModel, type ModelAnswer } from "../../support/ledger-model.ts";
import { operationOf, steps } from "../../support/ledger-steps.ts";
import { auditRows } from "../../support/ledger-audit.ts";
import { createTestClock } from "../../support/test-clock.ts";
import { useTestApp } from "../../support/use-app.ts";

const RUNS = process.env["FULL"] === "1" ? 300 : 8;

describe("the ledger", () => {
  const world = useTestApp({ available, clock: createTestClock("stepping") });

  test("agrees with the model, half of it inside other transactions", {
    timeout: 1_200_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(steps(40), fc.integer(), async (all, salt) => {
        const userId = await world.createUser();
        const model = createModel();
        const holdIds = new Map<string, string>();
        let modelNow = world.clock.now();
        for (const [index, one] of all.entries()) {
          if (one.do === "wait") {
            world.clock.aheadMs += one.seconds * 1_000;
            modelNow += one.seconds * 1000;
          }
          const operation = operationOf(one, userId, modelNow, (name) => {
            return holdIds.get(name) ?? randomUUID();
          });
          if (operation === null) continue;
          let answer: ModelAnswer;
          try {
            const inside = (index + salt) % 2 === 0;
            const [result] = inside
              ? await world.backend.database.transaction((tx) =>
                  world.ledger.applyIn(tx, [operation]),
                )
              : [await world.ledger.submit(operation)];
            if (result === undefined) throw new Error("no answer");
            answer = { moved: result.amountCredits, replayed: result.replayed };
            if (one.do === "reserve" && "holdId" in result)
              holdIds.set(one.key, String(result.holdId));
          } catch (error) {
            if (!isAppError(error)) throw error;
            answer = { error: error.code };
            // A refusal inside a transaction rolls back the expiry of holds; outside it stays. Make both alike.
            await world.ledger.submit({ kind: "expireHolds", userId });
          }
          const wanted = model.apply(one, modelNow);
          if ("error" in wanted) model.apply({ do: "expire" }, modelNow);
          expect(answer).toEqual(wanted);
          const user = await world.models.user.findUniqueOrThrow({
            where: { id: userId },
          });
          const { credits, heldCredits: held, ledgerSeq: seq } = user;
          expect({ credits, held, available: credits - held, seq }).toEqual(model.position());
        }
        expect(await auditRows(world.models, { cut: true })).toEqual([]);
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  });
});
