// A user's credit history as administrators read it, page by page.
import { beforeAll, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import type { Person } from "../../support/people.ts";
import { useTestApp } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

describe("admin.user", () => {
  const world = useTestApp({ available });
  let admin: Person;
  beforeAll(async () => {
    admin = await world.person("ADMIN");
  });

  const read = (path: string, input?: unknown) =>
    world.call(path, "query", input, bearer(admin.accessToken));

  it("shows a person's whole credit history, page by page", async () => {
    const person = await world.person();
    for (let spent = 0; spent < 25; spent += 1)
      await world.call(
        "credit.spend",
        "mutation",
        { feature: "chat-flash", idempotencyKey: `spend-${spent}` },
        bearer(person.accessToken),
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
