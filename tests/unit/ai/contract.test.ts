// The limits of a run's input.
import { describe, expect, it } from "vitest";
import { contract } from "../../../shared/src/contract.ts";

describe("the contract of ai.start", () => {
  it("takes what is exactly at its limits", () => {
    const full = Array.from({ length: 50 }, () => ({ role: "user", content: "x".repeat(640) }));
    expect(
      contract.ai.start.input.safeParse({
        feature: "chat-pro",
        messages: full,
        idempotencyKey: "k",
      }).success,
    ).toBe(true);
  });
});
