// A person's credit history as administrators read it, page by page.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { type AppWorld, openApp, type Person } from "../auth/app-world.ts";

describe("admin.user", () => {
  let world: AppWorld;
  let admin: Person;
  beforeAll(async () => {
    world = await openApp(available);
    admin = await world.person("ADMIN");
  });
  afterAll(() => world.close());

  const read = (path: string, input?: unknown) =>
    world.call(path, "query", input, { authorization: `Bearer ${admin.accessToken}` });

  it("shows a person's whole credit history, page by page", async () => {
    const person = await world.person();
    for (let spent = 0; spent < 25; spent += 1)
      await world.call(
        "credit.spend",
        "mutation",
        { feature: "chat-flash", idempotencyKey: `spend-${spent}` },
        { authorization: `Bearer ${person.accessToken}` },
      );
    const seen: number[] = [];
    let historyCursor: string | null = null;
    do {
      const { data } = await read("admin.user", {
        userId: person.userId,
        ...(historyCursor === null ? {} : { historyCursor }),
      });
      const { history } = data as {
        history: { logs: { seq: number; balance: number }[]; nextCursor: string | null };
      };
      seen.push(...history.logs.map(({ seq }) => seq));
      historyCursor = history.nextCursor;
    } while (historyCursor !== null);
    expect(seen).toEqual(Array.from({ length: 26 }, (_, index) => 26 - index));
    const forged = await read("admin.user", { userId: person.userId, historyCursor: "forged" });
    expect(forged.code).toBe("VALIDATION_FAILED");
  });
});
