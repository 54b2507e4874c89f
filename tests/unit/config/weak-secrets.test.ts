// Production rejects secrets that others may know or guess, and accepts what openssl generates.
import { randomBytes, randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { PUBLISHED, isPlaceholder, findWeakness } from "../../../server/config/weak-secrets.ts";

describe("a secret", () => {
  it.each([
    ["a-string-secret-at-least-256-bits-long", "published"],
    ["r9iMKoe5CRMgvJBBtp4HrqN7QiPpUToj", "published"],
    ["09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", "published"],
    ["R9iMKoe5CRMgvJBBtp4HrqN7QiPpUToj", "published"],
    ["q".repeat(40), "repeats a few characters"],
    ["Xk3v9QmTz1w7".repeat(4), "repeats the same 12"],
    ["Zk3v9QmT1xW7rB5nC8yL00000000000000000000", "repeats one character"],
    ["abcdefghijklmnopqrstuvwxyz0123456789", "follows the alphabet"],
    ["98765432109876543210qwertyuiopasdfghjkl", "follows the alphabet"],
    ["1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0pzxcv", "follows the alphabet"],
    ["84729173650193847562910384756102938475", "bits of chance"],
    ["jqxvzkwpbmfhgtdrlcnysoeuiajqxvzk", "bits of chance"],
    ["0a6b944dd2fb46fca85e0295c986cd9f", "bits of chance"],
    ["1b7c055e-e30c-47fd-b96f-13a6d097de80", "UUID"],
    ["my-company-jwt-secret-for-production-2024", "made of words"],
    ["Th1sIsMyV3ryS3cretP@sswordForTheServer", "made of words"],
    ["correct horse battery staple under the apple tree", "reads like words"],
    [Buffer.from("correct horse battery staple!").toString("base64"), "readable text in base64"],
    [Buffer.from("correct horse battery staple!").toString("hex"), "readable text in hex"],
    ["$2b$10$Gg91pyMdkpIwT2MRMl7xxObPSOAQpS2Gnt29indH8Q4jxpiSfPup2", "published"],
    ["F-JaNdRgUkXp2s5v8y/B?E(G+KbPeShV", "public key generator"],
  ])("%s is refused", (value, reason) => {
    expect(findWeakness(value)).toContain(reason);
  });

  it("made by chance is taken, whatever it is written in", () => {
    const makers = [
      () => randomBytes(48).toString("base64"),
      () => randomBytes(32).toString("base64url"),
      () => randomBytes(32).toString("hex"),
      () => randomBytes(64).toString("hex").toUpperCase(),
      () => randomUUID() + randomUUID(),
    ];
    const refused = makers.flatMap((make) =>
      Array.from({ length: 2_000 }, make).filter((value) => findWeakness(value) !== null),
    );
    // One in a hundred thousand looks weak by chance.
    expect(refused.length).toBeLessThanOrEqual(2);
  });

  it("that is published is known by a mark alone", () => {
    expect(PUBLISHED.size).toBeGreaterThan(80);
    for (const mark of PUBLISHED) expect(mark).toMatch(/^[0-9a-f]{16}$/);
    expect(isPlaceholder("r9iMKoe5CRMgvJBBtp4HrqN7QiPpUToj")).toBe(true);
  });
});
