// Promise 7: every procedure against every kind of caller. A procedure without a row fails matrix-rows.test.ts.
import { SignJWT } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import { keyId } from "../../../server/lib/keys.ts";
import type { ProcedureKind } from "../../../shared/src/procedure.ts";
import { contract } from "../../../shared/src/contract.ts";
import { available } from "../../support/backend.ts";
import { FRONTEND } from "../../support/server-env.ts";
import { type Others, rows } from "./matrix-rows.ts";
import type { Person } from "../../support/people.ts";
import { SERVICE_KEY } from "../../support/server-env.ts";
import { useTestApp } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

const REFUSALS = ["UNAUTHENTICATED", "TOKEN_EXPIRED", "SESSION_REVOKED", "FORBIDDEN"];

function kindOf(path: string): "query" | "mutation" | "subscription" {
  const [group = "", name = ""] = path.split(".");
  const procedures: Record<string, { kind: ProcedureKind }> | undefined = Object.entries(
    contract,
  ).find(([key]) => key === group)?.[1];
  const found = procedures?.[name];
  if (found === undefined) throw new Error(`${path} is not in the contract`);
  return found.kind === "trackedSubscription" ? "subscription" : found.kind;
}

describe("authority", () => {
  const world = useTestApp({ available });
  let others: Others;
  let user: Person;
  let admin: Person;
  let expired: string;

  beforeAll(async () => {
    world.clock.aheadMs = -3_600_000;
    expired = (await world.person()).accessToken;
    world.clock.aheadMs = 0;
    const other = await world.person();
    await world.models.creditPackage.create({
      data: { id: "matrix-package", name: "Matrix", credits: 10, price: 100 },
    });
    const bought = await world.call(
      "payment.checkout",
      "mutation",
      { packageId: "matrix-package" },
      bearer(other.accessToken),
    );
    const { sessionId: checkout } = bought.data as { sessionId: string };
    const started = await world.call(
      "ai.start",
      "mutation",
      {
        feature: "chat-flash",
        messages: [{ role: "user", content: "Hello" }],
        idempotencyKey: "matrix",
      },
      bearer(other.accessToken),
    );
    const { runId: otherRun } = started.data as { runId: string };
    others = { other, victim: await world.person(), checkoutSession: checkout, otherRun };
    user = await world.person();
    admin = await world.person("ADMIN");
  });

  for (const [path, row] of Object.entries(rows)) {
    const call = (headers: Record<string, string>, input?: unknown) =>
      world.call(path, kindOf(path), input ?? row.input?.(others), headers);
    const token = row.caller === "user" || row.caller === "admin";

    it(`${path} is for ${row.caller}`, async () => {
      // An unauthenticated caller learns nothing, not even whether the input is valid.
      const nobody = await call({});
      const garbage = await world.call(path, kindOf(path), { "\u0000": [] }, {});
      if (row.caller === "public") {
        expect(["FORBIDDEN", "TOKEN_EXPIRED", "SESSION_REVOKED"]).not.toContain(nobody.code);
      } else {
        // Streams, too: a 200 would make EventSource reconnect forever (decision 0027).
        expect([nobody.status, nobody.code]).toEqual([401, "UNAUTHENTICATED"]);
        expect(garbage.code).toBe("UNAUTHENTICATED");
      }
      if (token) {
        expect((await call(bearer(expired))).code).toBe("TOKEN_EXPIRED");
        expect((await call(bearer(SERVICE_KEY))).code).toBe("UNAUTHENTICATED");
      }
      if (row.caller !== "public") {
        for (const malformed of ["x", "a.b.c", "null", user.refreshToken, "A".repeat(3_000)]) {
          expect((await call(bearer(malformed))).code, malformed).toBe("UNAUTHENTICATED");
        }
        const basic = { authorization: `Basic ${Buffer.from("a:b").toString("base64")}` };
        expect((await call(basic)).code).toBe("UNAUTHENTICATED");
      }
      if (row.caller === "admin") {
        const plain = await call(bearer(user.accessToken));
        expect([plain.status, plain.code]).toEqual([403, "FORBIDDEN"]);
        const blind = await world.call(
          path,
          kindOf(path),
          { "\u0000": [] },
          bearer(user.accessToken),
        );
        expect(blind.code).toBe("FORBIDDEN");
      }
      if (row.caller === "service") {
        for (const person of [user, admin]) {
          expect((await call(bearer(person.accessToken))).code).toBe("UNAUTHENTICATED");
        }
        const almost = `${SERVICE_KEY.slice(0, -1)}!`;
        expect((await call(bearer(almost))).code).toBe("UNAUTHENTICATED");
      }
      const allowed = {
        public: {},
        // A new user each time, because some of the rows end the caller's sessions.
        user: bearer((await world.person()).accessToken),
        admin: bearer(admin.accessToken),
        service: bearer(SERVICE_KEY),
      }[row.caller];
      const answer = await call(allowed);
      const kindly = path === "auth.refresh" ? ["UNAUTHENTICATED"] : [];
      expect(REFUSALS.filter((code) => !kindly.includes(code))).not.toContain(answer.code);
      expect(answer.status, JSON.stringify(answer.data)).toBeLessThan(500);
    });
  }

  const foreignRows = Object.entries(rows).flatMap(([path, { foreign }]) =>
    typeof foreign === "function" ? [{ path, foreign }] : [],
  );
  it.each(foreignRows)("$path does not know another person's things", async (row) => {
    const headers = bearer(user.accessToken);
    const answer = await world.call(row.path, kindOf(row.path), row.foreign(others), headers);
    expect([answer.status, answer.code]).toEqual([404, "NOT_FOUND"]);
  });

  it("refuses a token that says ADMIN of itself", async () => {
    const forged = await new SignJWT({ sid: user.sessionId, ver: 0, role: "ADMIN" })
      .setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: keyId("x".repeat(32)) })
      .setIssuer("skywork")
      .setAudience("skywork-api")
      .setSubject(user.userId)
      .setIssuedAt()
      .setExpirationTime("5m")
      .sign(new TextEncoder().encode("x".repeat(32)));
    expect((await world.call("admin.users", "query", {}, bearer(forged))).code).toBe(
      "UNAUTHENTICATED",
    );
  });

  it("refuses every write that carries the cookie from a foreign page, whatever else it carries", async () => {
    const writes = Object.keys(rows).filter(
      (path) => kindOf(path) === "mutation" && rows[path]?.caller !== "service",
    );
    for (const path of writes) {
      for (const origin of ["https://evil.example", "null"]) {
        const answer = await world.call(path, "mutation", rows[path]?.input?.(others) ?? {}, {
          ...bearer(admin.accessToken),
          cookie: `refresh=${admin.refreshToken}`,
          origin,
        });
        expect([path, answer.code]).toEqual([path, "FORBIDDEN"]);
      }
    }
    const own = await world.call(
      "user.update",
      "mutation",
      { name: "From our own page" },
      {
        ...bearer(admin.accessToken),
        cookie: `refresh=${admin.refreshToken}`,
        origin: FRONTEND,
      },
    );
    expect(own.code).toBeNull();
  });
});
