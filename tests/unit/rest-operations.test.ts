// Whatever users and workers may call over tRPC can be called over REST, at the paths of the contract.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { apiReference } from "../../server/http/openapi/reference.ts";
import { REST_OPERATIONS } from "../../server/http/rest/operations.ts";
import { appRouter } from "../../server/routers/app.ts";
import type { ProcedureMeta } from "../../server/trpc/meta.ts";

interface Procedure {
  _def: { type: string; meta?: ProcedureMeta };
}
const procedures = Object.entries(
  appRouter._def.procedures as unknown as Record<string, Procedure>,
);

test("every procedure but an administrator's has its operation", () => {
  for (const [name, { _def }] of procedures) {
    expect([name, _def.meta?.access]).not.toEqual([name, undefined]);
    const hasRest = _def.meta?.rest !== undefined;
    expect([name, hasRest]).toEqual([name, _def.meta?.access !== "admin"]);
  }
});

test("reads are GET, writes are not, and no two operations are the same", () => {
  const seen = new Set<string>();
  for (const { method, path, procedure, type } of REST_OPERATIONS) {
    expect([procedure, method === "GET"]).toEqual([procedure, type !== "mutation"]);
    expect(seen).not.toContain(`${method} ${path}`);
    seen.add(`${method} ${path}`);
  }
});

test.each([
  ["auth.config", "GET /api/auth/config"],
  ["auth.refresh", "POST /api/auth/refresh"],
  ["auth.logout", "POST /api/auth/logout"],
  ["auth.me", "GET /api/auth/me"],
  ["auth.sessions", "GET /api/auth/sessions"],
  ["auth.revokeSession", "DELETE /api/auth/sessions/{sessionId}"],
  ["auth.logoutAll", "POST /api/auth/logout-all"],
  ["credit.balance", "GET /api/user/credits"],
  ["credit.history", "GET /api/user/credits/history"],
  ["credit.spend", "POST /api/credit/spend"],
  ["credit.usage", "GET /api/credit/usage"],
  ["credit.costs", "GET /api/credit/costs"],
  ["user.export", "GET /api/user/export"],
  ["user.update", "PATCH /api/user"],
  ["user.delete", "DELETE /api/user"],
  ["payment.plans", "GET /api/payment/plans"],
  ["payment.subscribe", "POST /api/payment/subscribe"],
  ["payment.subscription", "GET /api/payment/subscription"],
  ["payment.previewPlanChange", "GET /api/payment/subscription/preview"],
  ["payment.changePlan", "POST /api/payment/subscription/change"],
  ["payment.cancelPlanChange", "POST /api/payment/subscription/cancel-change"],
  ["payment.cancelSubscription", "POST /api/payment/subscription/cancel"],
  ["payment.resumeSubscription", "POST /api/payment/subscription/resume"],
  ["payment.portal", "POST /api/payment/portal"],
  ["payment.invoices", "GET /api/payment/invoices"],
  ["payment.packages", "GET /api/payment/packages"],
  ["payment.checkout", "POST /api/payment/checkout"],
  ["payment.history", "GET /api/payment/history"],
  ["ai.start", "POST /api/ai/runs"],
  ["ai.stream", "GET /api/ai/runs/{runId}/events"],
  ["ai.stop", "POST /api/ai/runs/{runId}/stop"],
])("%s is %s", (name, expected) => {
  const operation = REST_OPERATIONS.find(({ procedure }) => procedure === name);
  expect(`${operation?.method} ${operation?.path}`).toBe(expected);
});

test("docs/reference/api.md is what the contract makes", () => {
  const url = new URL("../../docs/reference/api.md", import.meta.url);
  expect(readFileSync(url, "utf8")).toContain(`<!-- api -->\n${apiReference()}\n<!-- /api -->`);
});
