// How `npm run dev` shows the server's log.
import { expect, test } from "vitest";
import { endInWords, readable } from "../../server/cli/dev/output.ts";

const line = (fields: object) => JSON.stringify({ level: 30, time: 1_764_158_400_000, ...fields });

test("a request is method, path, status and time, with its code where it is refused", () => {
  const request = { method: "POST", path: "/api/trpc/ai.start", durationMs: 12.4 };
  expect(readable(line({ ...request, status: 200, msg: "request" }))).toMatch(
    /INFO: POST \/api\/trpc\/ai\.start 200 12 ms$/,
  );
  expect(
    readable(line({ ...request, status: 402, code: "INSUFFICIENT_CREDITS", msg: "request" })),
  ).toMatch(/402 12 ms INSUFFICIENT_CREDITS$/);
});

test("a job is shown when it fails, not each time that it runs", () => {
  const run = { job: "reconcile", msg: "job run" };
  expect(readable(line({ ...run, outcome: "ok" }))).toBeNull();
  expect(readable(line({ ...run, level: 50, outcome: "failed" }))).toMatch(
    /ERROR: job run .*reconcile/,
  );
});

test("what is no log line stays as it is", () => {
  expect(readable("SyntaxError: Unexpected token")).toBe("SyntaxError: Unexpected token");
  expect(readable("{ half a line")).toContain("half a line");
});

test("a part that ends is said to have crashed only when it did", () => {
  expect(endInWords({ code: 0, signal: null })).toBe("ended by itself, without an error");
  expect(endInWords({ code: 1, signal: null })).toContain("crashed with exit code 1");
  expect(endInWords({ code: null, signal: "SIGKILL" })).toBe("was ended by SIGKILL");
});
