// The ids from which a reader of a run resumes.
import { expect, it } from "vitest";
import { endId, eventId, receivedUpTo } from "../../../server/ai/event-ids.ts";

it("reads the number or the end out of an id of the same run, and 0 where none is given", () => {
  expect(receivedUpTo("run_a", eventId("run_a", 17))).toBe(17);
  expect(receivedUpTo("run_a", endId("run_a"))).toBe("end");
  expect(receivedUpTo("run_a", undefined)).toBe(0);
  expect(receivedUpTo("run_a", "")).toBe(0);
});

it.each([
  "run_b.1",
  "run_b.end",
  "run_a",
  "run_a.",
  "run_a.0",
  "run_a.-1",
  "run_a.01",
  "run_a.1.5",
  "run_a.1e3",
  "1",
  "run_a.50001",
  "run_a.9999999999",
])("throws VALIDATION_FAILED for %s", (id) => {
  expect(() => receivedUpTo("run_a", id)).toThrow(
    expect.objectContaining({ code: "VALIDATION_FAILED" }),
  );
});
