// Deleting an account does not erase a debt: a user who returns with the same identity still owes it.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { auditWholeLedger } from "../../../server/ledger/audit/audit.ts";
import { scopedKey } from "../../../server/ledger/idempotency-key.ts";
import { AppError } from "../../../server/lib/errors.ts";
import { available } from "../../support/backend.ts";
import { createPeople, type Person } from "../../support/people.ts";
import { useTestApp } from "../../support/use-app.ts";
import { newEmail } from "../auth/support.ts";
import { bearer } from "../../support/wire-call.ts";

describe("debt", () => {
  const world = useTestApp({ available });
  let admin: Person;
  beforeAll(async () => {
    admin = await world.person("ADMIN");
  });

  const models = () => world.models;
  const adjust = (userId: string, amount: number, key: string = randomUUID()) =>
    world.call(
      "admin.adjustCredits",
      "mutation",
      { userId, amount, reason: "test", idempotencyKey: key },
      bearer(admin.accessToken),
    );
  const remove = async (accessToken: string, email: string) => {
    const input = { confirmEmail: email };
    const answer = await world.call("user.delete", "mutation", input, bearer(accessToken));
    expect(answer.status).toBe(200);
  };

  it("returns with the person who deleted the account, and the next grant pays it first", async () => {
    const email = newEmail();
    const first = await world.signIn(email);
    expect((await adjust(first.user.id, -160)).data).toMatchObject({ balance: -60 });
    await remove(first.accessToken, email);
    const second = await world.signIn(email);
    expect(second.user.id).not.toBe(first.user.id);
    expect(second.user.credits).toBe(-60);
    const spend = { feature: "chat-flash", idempotencyKey: randomUUID() };
    const refused = await world.call("credit.spend", "mutation", spend, bearer(second.accessToken));
    expect(refused.code).toBe("INSUFFICIENT_CREDITS");
    expect((await adjust(second.user.id, 100)).data).toMatchObject({ balance: 40 });
    // Only once: a later sign-in carries nothing over again, and the erased account owes nothing.
    expect((await world.signIn(email)).user.credits).toBe(40);
    const erased = await models().user.findUnique({ where: { id: first.user.id } });
    expect(erased?.credits).toBe(0);
  });

  it("follows through a second deletion, and so does what became debt after the first", async () => {
    const email = newEmail();
    const first = await world.signIn(email);
    await remove(first.accessToken, email);
    const second = await world.signIn(email);
    await remove(second.accessToken, email);
    // A lost dispute about the first account's purchase: the ledger itself makes an entry on an erased account.
    const { ledger } = world.app;
    for (const [n, amountCredits] of [130, 20].entries()) {
      await ledger.submit({
        kind: "takeBack",
        userId: first.user.id,
        amountCredits,
        type: "DISPUTE",
        sourceId: `p${n}`,
        grantKey: `payment:p${n}`,
        idempotencyKey: scopedKey("dispute", String(n), "p"),
        description: "Disputed",
      });
      const third = await world.signIn(email);
      expect(third.user.credits).toBe(n === 0 ? -30 : -50);
    }
  });

  it("is told of also where the answer to the COMMIT of the sign-in was lost", async () => {
    const { userId: formerId, email, accessToken } = await world.person();
    const { subject } = await models().identity.findFirstOrThrow({ where: { userId: formerId } });
    await adjust(formerId, -160);
    await remove(accessToken, email);
    const { database } = world.backend;
    const announced: string[] = [];
    const people = createPeople({
      ...world,
      backend: {
        ...world.backend,
        database: {
          ...database,
          // `dialect` and `models` may be accessors of the real one.
          ...{ dialect: database.dialect, models: database.models },
          async transaction(work) {
            await database.transaction(work);
            throw AppError.of("SERVICE_UNAVAILABLE", "Lost.", { retryAfterSeconds: 1 });
          },
        },
      },
      ledger: { ...world.ledger, changed: async (userIds) => void announced.push(...userIds) },
    });
    const signIn = people.session({ email, subject: subject ?? "" });
    await expect(signIn).rejects.toMatchObject({ code: "SERVICE_UNAVAILABLE" });
    const user = await models().user.findUniqueOrThrow({ where: { email } });
    expect(user.credits).toBe(-60);
    expect(announced).toEqual([user.id]);
  });

  it("moves once when ten sign-ins come at once", async () => {
    const email = newEmail();
    const first = await world.signIn(email);
    await adjust(first.user.id, -170);
    await remove(first.accessToken, email);
    const back = await Promise.all(Array.from({ length: 10 }, () => world.signIn(email)));
    expect(new Set(back.map(({ user }) => user.id)).size).toBe(1);
    const row = await models().user.findUnique({ where: { id: back[0]?.user.id ?? "" } });
    expect(row?.credits).toBe(-70);
  });

  it("answers NOT_FOUND when a deleted account is adjusted, and changes nothing", async () => {
    const email = newEmail();
    const { user, accessToken } = await world.signIn(email);
    await remove(accessToken, email);
    for (const amount of [5, -5]) {
      const answer = await adjust(user.id, amount);
      expect([answer.status, answer.code]).toEqual([404, "NOT_FOUND"]);
    }
    const row = await models().user.findUnique({ where: { id: user.id } });
    expect(row).toMatchObject({ credits: 100, ledgerSeq: 1 });
  });

  it("leaves the ledger in order", async () => {
    expect(await auditWholeLedger({ database: world.opened.backend.database })).toEqual([]);
  });
});
