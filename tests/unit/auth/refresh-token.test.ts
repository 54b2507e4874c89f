// A refresh token is either ours or refused, and its successor is the same on every instance.
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createRefreshTokens } from "../../../server/auth/session/refresh-token.ts";

const NEW = "the-new-refresh-secret-0123456789abcdef";
const OLD = "the-old-refresh-secret-0123456789abcdef";
const tokens = createRefreshTokens([NEW]);

describe("refresh tokens", () => {
  it("carry 256 random bits and parse to what they are", () => {
    const sessionId = randomUUID();
    const [a, b] = [tokens.first(sessionId), tokens.first(sessionId)];
    expect(a.secret).toHaveLength(32);
    expect(a.text).not.toBe(b.text);
    expect(tokens.parse(a.text)).toMatchObject({ sessionId, generation: 0, text: a.text });
  });

  it("have one successor, whoever derives it", () => {
    const first = tokens.first(randomUUID());
    const read = tokens.parse(first.text);
    if (read === null) throw new Error("our own token was refused");
    const elsewhere = createRefreshTokens([NEW]);
    expect(elsewhere.successor(read).text).toBe(tokens.successor(first).text);
    expect(tokens.successor(first).generation).toBe(1);
    expect(createRefreshTokens([OLD]).successor(first).text).not.toBe(tokens.successor(first).text);
  });

  it("survive a rotation of the secret while the old one is listed", () => {
    const before = createRefreshTokens([OLD]);
    const both = createRefreshTokens([NEW, OLD]);
    const token = before.first(randomUUID());
    const read = both.parse(token.text);
    if (read === null) throw new Error("a token of the listed secret was refused");
    expect(both.matches(read, before.hash(token))).toBe(true);
    expect(both.successors(read).map((one) => one.text)).toContain(before.successor(token).text);
    expect(tokens.parse(token.text)).toBeNull();
    expect(tokens.matches(token, before.hash(token))).toBe(false);
  });

  it("are not what the database keeps of them", () => {
    const token = tokens.first(randomUUID());
    const stored = tokens.hash(token);
    expect(stored).toMatch(/^[0-9a-f]{64}$/);
    expect(tokens.matches(token, stored)).toBe(true);
    expect(tokens.parse(stored)).toBeNull();
    expect(tokens.parse(`skr_${Buffer.from(stored, "hex").toString("base64url")}`)).toBeNull();
  });

  it("changed in any bit are refused", () => {
    const { text } = tokens.first(randomUUID());
    const bytes = Buffer.from(text.slice(4), "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(tokens.parse(`skr_${changed.toString("base64url")}`), `bit ${bit}`).toBeNull();
    }
  });

  it("have exactly one spelling", () => {
    const { text } = tokens.first(randomUUID());
    const last = text.at(-1) ?? "";
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const accepted = Array.from(alphabet).filter((letter) =>
      tokens.parse(text.slice(0, -1) + letter),
    );
    expect(accepted).toEqual([last]);
    for (const spelling of [
      `${text}=`,
      ` ${text}`,
      `${text}\n`,
      text.replace("skr_", "SKR_"),
      "",
    ]) {
      expect(tokens.parse(spelling), JSON.stringify(spelling)).toBeNull();
    }
  });

  it("that merely name a session are refused: garbage, JWTs, zeros, a foreign secret", () => {
    const sessionId = randomUUID();
    const id = Buffer.from(sessionId.replaceAll("-", ""), "hex");
    const forged = Buffer.concat([id, Buffer.alloc(52)]).toString("base64url");
    for (const text of [
      `skr_${forged}`,
      createRefreshTokens(["somebody-elses-secret-0123456789abcdef"]).first(sessionId).text,
      "eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
      "x".repeat(100_000),
      "null",
    ]) {
      expect(tokens.parse(text)).toBeNull();
    }
  });
});
