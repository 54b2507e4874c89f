// An export is bounded in rows and bytes, and says which lists were cut.
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { exportUser } from "../../../server/user/export.store.ts";
import { available } from "../../support/backend.ts";
import { bearer } from "../../support/wire-call.ts";
import { useTestApp } from "../../support/use-app.ts";

describe("an export", () => {
  const world = useTestApp({ available });

  const models = () => world.models;
  const rowsOf = <Row>(document: Awaited<ReturnType<typeof exportUser>>, list: string) =>
    (document?.[list] ?? []) as Row[];

  it("ends an export at its size, and names the lists that were cut", async () => {
    const person = await world.person();
    for (let n = 0; n < 20; n += 1) {
      const metadata = { note: "x".repeat(4_000) };
      const order = { feature: "chat-flash", idempotencyKey: randomUUID(), metadata };
      expect(
        (await world.call("credit.spend", "mutation", order, bearer(person.accessToken))).status,
      ).toBe(200);
    }
    const maxBytes = 40_000;
    const document = await exportUser(models(), person.userId, { maxBytes });
    expect(document).toMatchObject({ identities: [{}], sessions: [{}], creditGrants: [{}] });
    expect(document?.["incomplete"]).toContain("creditLogs");
    expect(rowsOf(document, "creditLogs").length).toBeGreaterThan(5);
    // The names of the lists come on top.
    expect(Buffer.byteLength(JSON.stringify(document))).toBeLessThan(maxBytes + 2_000);
  });

  it("names a list that has more rows than it may have, and none that has as many", async () => {
    const person = await world.person();
    await models().usageLog.createMany({
      data: Array.from({ length: 3 }, () => ({
        ...{ id: randomUUID(), userId: person.userId, feature: "chat-flash" },
        ...{ credits: 1, createdAt: new Date() },
      })),
    });
    const exportOf = (maxListRows: number) => exportUser(models(), person.userId, { maxListRows });
    expect(await exportOf(3)).not.toHaveProperty("incomplete");
    const cut = await exportOf(2);
    expect(cut).toMatchObject({ usageLogs: [{}, {}], incomplete: ["usageLogs"] });
  });

  it("exports holds in the order of their index, each once", async () => {
    const person = await world.person();
    const statuses = ["SETTLED", "RELEASED", "EXPIRED"];
    const rows = Array.from({ length: 1_205 }, (_, n) => ({
      ...{ id: randomUUID(), userId: person.userId, amount: 1, lots: "[]" },
      ...{ status: statuses[n % 3] ?? "", expiresAt: new Date(), createdAt: new Date() },
    }));
    await models().creditHold.createMany({ data: rows });
    const orders: unknown[] = [];
    const holds = models().creditHold;
    const findMany = (query: { orderBy: unknown }) => {
      orders.push(query.orderBy);
      return holds.findMany(query as never);
    };
    const watched = Object.create(models(), { creditHold: { value: { findMany } } }) as never;
    const document = await exportUser(watched, person.userId);
    const key = ({ status, id }: { status: string; id: string }) => `${status} ${id}`;
    const found = rowsOf<(typeof rows)[number]>(document, "creditHolds").map(key);
    expect(found).toEqual(rows.map(key).toSorted());
    expect(orders).toEqual(Array.from({ length: 3 }, () => [{ status: "asc" }, { id: "asc" }]));
  });
});
