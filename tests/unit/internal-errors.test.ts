// An unexpected error tells the client which request to report, and reveals nothing about itself.
import { getErrorShape, TRPCError } from "@trpc/server/unstable-core-do-not-import";
import { expect, test } from "vitest";
import { restError } from "../../server/http/response.ts";
import { appRouter } from "../../server/routers/app.ts";
import { toAppError } from "../../server/trpc/trpc.ts";

const unexpected = new Error("SELECT secret FROM users; /srv/app/server/main.ts");
const appError = toAppError(unexpected);

test("an unexpected error is INTERNAL over tRPC, without its text or stack", () => {
  const shape: unknown = getErrorShape({
    config: appRouter._def._config,
    error: new TRPCError({ code: "INTERNAL_SERVER_ERROR", cause: unexpected }),
    type: "query",
    path: "auth.me",
    input: undefined,
    ctx: { request: { requestId: "request-1" } } as never,
  });
  expect(shape).toMatchObject({ data: { httpStatus: 500, app: { code: "INTERNAL" } } });
  const text = JSON.stringify(shape);
  expect(text).toContain("report request request-1");
  expect(text).not.toMatch(/SELECT|srv|stack/);
});

test("an unexpected error is INTERNAL over REST, without its text or stack", () => {
  const body = restError(appError, "request-2");
  expect(body).toMatchObject({ code: "INTERNAL", statusCode: 500, requestId: "request-2" });
  expect(body.message).toContain("report request request-2");
  expect(JSON.stringify(body)).not.toMatch(/SELECT|srv|stack/);
});
