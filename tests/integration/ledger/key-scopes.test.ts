// Callers of different kinds never collide on a key, and keys stored before scopes existed keep working.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { readMigrations } from "../../../server/database/migrations/plan.ts";
import { auditWholeLedger } from "../../../server/ledger/audit/audit.ts";
import { scopedKey } from "../../../server/ledger/idempotency-key.ts";
import { available } from "../../support/backend.ts";
import type { Person } from "../../support/people.ts";
import { SERVICE_KEY } from "../../support/server-env.ts";
import { useTestApp } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

describe("scopes of keys", () => {
  const world = useTestApp({ available });
  let admin: Person;
  beforeAll(async () => {
    admin = await world.person("ADMIN");
  });

  const models = () => world.models;
  const adjust = (userId: string, idempotencyKey: string) =>
    world.call(
      "admin.adjustCredits",
      "mutation",
      { userId, amount: 7, reason: "test", idempotencyKey },
      bearer(admin.accessToken),
    );
  const spend = (person: Person, idempotencyKey: string) =>
    world.call(
      "credit.spend",
      "mutation",
      { feature: "chat-flash", idempotencyKey },
      bearer(person.accessToken),
    );

  it("takes effect for each kind of caller, whatever an administrator's key looks like", async () => {
    const person = await world.person();
    const key = randomUUID();
    const payment = randomUUID();
    const hostile = [
      key,
      `user:${key}`,
      `svc:worker:${key}`,
      `admin:${key}`,
      `refund:${payment}:1`,
      `metered:${key}`,
      `debt:${key}:1`,
    ];
    for (const one of hostile) expect((await adjust(person.userId, one)).status).toBe(200);
    expect((await spend(person, key)).data).toMatchObject({ charged: 1, replayed: false });
    const byWorker = await world.call(
      "service.spend",
      "mutation",
      { userId: person.userId, feature: "chat-flash", idempotencyKey: key },
      bearer(SERVICE_KEY),
    );
    expect(byWorker.data).toMatchObject({ charged: 1, replayed: false });
    const refund = await world.app.ledger.submit({
      kind: "takeBack",
      userId: person.userId,
      amountCredits: 3,
      type: "REFUND",
      sourceId: payment,
      grantKey: `payment:${payment}`,
      idempotencyKey: scopedKey("refund", "1", payment),
      description: "Refunded",
    });
    expect(refund).toMatchObject({ replayed: false, credits: 100 + 7 * hostile.length - 5 });
  });

  it("replays an administrator's key that was stored before keys had scopes", async () => {
    const person = await world.person();
    const stored = [randomUUID(), `user:${randomUUID()}`];
    for (const key of stored) expect((await adjust(person.userId, key)).status).toBe(200);
    const own = randomUUID();
    expect((await spend(person, own)).status).toBe(200);
    // As stored by an earlier release.
    for (const key of stored)
      await models().idempotencyKey.updateMany({
        where: { userId: person.userId, key: `admin:${key}` },
        data: { key },
      });
    const { database } = world.opened.backend;
    const migration = (await readMigrations(database.dialect)).find(({ name }) =>
      name.endsWith("_debt_follows_identity_keys_carry_scope"),
    );
    const update = migration?.statements.find((sql) => /UPDATE (OR )?IGNORE/.test(sql)) ?? "";
    // Twice, because an interrupted migration runs again.
    for (let run = 0; run < 2; run += 1)
      await database.rawTransaction((sql) => sql.execute(update, []));
    for (const key of stored)
      expect((await adjust(person.userId, key)).data).toMatchObject({ replayed: true });
    expect((await spend(person, own)).data).toMatchObject({ replayed: true });
    expect((await spend(person, stored[1]?.slice("user:".length) ?? "")).data).toMatchObject({
      replayed: false,
    });
    expect(await auditWholeLedger({ database })).toEqual([]);
  });
});
