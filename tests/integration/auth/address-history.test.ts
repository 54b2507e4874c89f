// ADMIN_EMAILS promotes no one by an address that a different `sub` has ever held, whoever deletes what.
import { createHash, randomUUID } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { createUserStore } from "../../../server/user/user.store.ts";
import { available } from "../../support/backend.ts";
import { useTestApp } from "../../support/use-app.ts";
import { newEmail } from "./support.ts";

describe("an address that changes hands", () => {
  const adminEmails: string[] = [];
  const world = useTestApp({ available, config: { adminEmails } });
  afterEach(() => {
    adminEmails.length = 0;
  });

  const userOf = (email: string) => world.models.user.findUnique({ where: { email } });
  /** Signs in as `subject` with an address of ADMIN_EMAILS; returns the account's id and role. */
  const enter = async (email: string, subject: string) => {
    const { userId } = await world.session({ email, subject });
    const { role } = await world.models.user.findUniqueOrThrow({ where: { id: userId } });
    return { userId, role };
  };
  const erase = async ({ userId }: { userId: string }) => {
    const users = createUserStore(world.backend.database);
    expect(await users.erase(userId, new Date())).toBe(true);
  };
  const subjects = () => [randomUUID(), randomUUID(), randomUUID()] as const;

  it("makes nobody an administrator who took it, deleted the account and returned, nor a third sub", async () => {
    const email = newEmail();
    const [first, second, third] = subjects();
    adminEmails.push(email);
    const owner = await enter(email, first);
    expect(owner.role).toBe("ADMIN");
    const taker = await enter(email, second);
    expect(taker.role).toBe("USER");
    await erase(taker);
    await erase(owner);
    for (const subject of [second, third, second, first]) {
      const back = await enter(email, subject);
      expect(back.role).toBe("USER");
      const row = await userOf(email);
      expect(row?.id).toBe(back.userId);
      expect(row?.addressTakenAt).not.toBeNull();
      await erase(back);
    }
  });

  it("makes its only sub an administrator again after deleting the account, and nobody afterwards", async () => {
    const email = newEmail();
    const [first, second] = subjects();
    adminEmails.push(email);
    for (let round = 0; round < 2; round++) {
      const own = await enter(email, first);
      expect(own.role).toBe("ADMIN");
      await erase(own);
    }
    const later = await enter(email, second);
    expect(later.role).toBe("USER");
    await erase(later);
    expect(await enter(email, second)).toMatchObject({ role: "USER" });
    // One mark for each former holder, however often they left, and none reveals the address.
    const marks = await world.models.auditLog.findMany({
      where: {
        targetType: "address",
        targetId: createHash("sha256").update(email).digest("hex"),
      },
    });
    expect(new Set(marks.map(({ detail }) => detail)).size).toBe(marks.length);
    expect(JSON.stringify(marks)).not.toContain(email);
  });

  it("makes nobody an administrator by an address that another sub gave up for a new one", async () => {
    const [email, next] = [newEmail(), newEmail()];
    const [first, second] = subjects();
    await enter(email, first);
    await enter(next, first);
    adminEmails.push(email);
    expect(await enter(email, second)).toMatchObject({ role: "USER" });
    // Nor does changing to that address help.
    const [old, ours] = [newEmail(), newEmail()];
    const gone = await enter(old, first);
    await erase(gone);
    adminEmails.push(old);
    const [, , third] = subjects();
    await enter(ours, third);
    expect(await enter(old, third)).toMatchObject({ role: "USER" });
  });
});
