import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { available } from "../../support/backend.ts";
import { grant, spend } from "../../support/operations.ts";
import type { SignedIn } from "../../support/server.ts";
import { useTestApp } from "../../support/use-app.ts";
import { bearer } from "../../support/wire-call.ts";

/** Returns every sample of a scrape: the series with its labels as written, and its value. */
async function scrape(url: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    samples.map((line) => {
      const end = line.lastIndexOf(" ");
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

describe("metrics", () => {
  const server = useTestApp({ available });
  let ann: SignedIn;
  beforeAll(async () => {
    ann = await server.signIn("ann@metrics.example");
  });

  const stream = (path: string, accessToken?: string) =>
    fetch(`${server.url}/api/trpc/${path}`, {
      headers: {
        accept: "text/event-stream",
        ...(accessToken === undefined ? {} : bearer(accessToken)),
      },
    });

  it("counts sign-ins, credits and money once each, and what they were refused for", async () => {
    const before = await scrape(server.url);
    const grew = async (series: string) =>
      ((await scrape(server.url)).get(series) ?? 0) - (before.get(series) ?? 0);
    expect(before.get('sign_ins_total{outcome="ok"}')).toBe(1);
    expect(before.get('credits_granted_total{type="SIGNUP"}')).toBeGreaterThan(0);
    const spend = { feature: "chat-flash", idempotencyKey: "metrics-spend-1" } as const;
    const first = await ann.client.credit.spend.mutate(spend);
    await ann.client.credit.spend.mutate(spend);
    expect(await grew('credits_taken_total{type="USAGE"}')).toBe(first.charged);
    await expect(ann.client.admin.stats.query({})).rejects.toThrow();
    expect(await grew('refusals_total{code="FORBIDDEN"}')).toBe(1);
    const { packages } = await ann.client.payment.packages.query();
    const { sessionId } = await ann.client.payment.checkout.mutate({
      packageId: packages[0]?.id ?? "",
    });
    const calls = 'vendor_calls_total{vendor="stripe",call="createCheckout",outcome="ok"}';
    expect(await grew(calls)).toBe(1);
    const { control } = server.sandbox.stripe;
    const { payment_intent: paid } = control.completeCheckout(sessionId);
    // Reported by the webhook and by the return page, but recorded once.
    await control.idle();
    await ann.client.payment.confirm.mutate({ sessionId });
    const price = packages[0]?.price ?? 0;
    expect(await grew('money_taken_minor_units_total{currency="usd"}')).toBe(price);
    expect(await grew('money_given_back_minor_units_total{currency="usd"}')).toBe(0);
    control.refund(String(paid), { amount: 200 });
    await control.idle();
    expect(await grew('money_given_back_minor_units_total{currency="usd"}')).toBe(200);
    expect(await grew('money_taken_minor_units_total{currency="usd"}')).toBe(price);
  });

  it("counts credits that expire, whatever finds them first", async () => {
    const [forJob, spender, corrected, admin] = await Promise.all([
      server.createUser(),
      server.createUser(5),
      server.createUser(),
      server.person("ADMIN"),
    ]);
    const expiresAt = new Date(server.clock.now() + 500);
    const expiring = (userId: string, credits: number) =>
      server.ledger.submit(
        grant(userId, `expiring:${userId}`, credits, { source: "SUBSCRIPTION", expiresAt }),
      );
    await expiring(forJob, 7);
    await expiring(spender, 4);
    await expiring(corrected, 2);
    const series = 'credits_taken_total{type="EXPIRY"}';
    const expired = async () => (await scrape(server.url)).get(series) ?? 0;
    const before = await expired();
    await sleep(600);
    // A refusal expires what is due, too.
    await expect(server.ledger.submit(spend(spender, "too-much", 6))).rejects.toThrow();
    expect(await expired()).toBe(before + 4);
    const correction = { userId: corrected, amount: 1, reason: "x", idempotencyKey: "expiry" };
    await server.call("admin.adjustCredits", "mutation", correction, bearer(admin.accessToken));
    expect(await expired()).toBe(before + 6);
    await server.app.jobs.runNow("expire-lots");
    expect(await expired()).toBe(before + 13);
  });

  it.each([
    ["nobody", "credit.onChange", 401, "UNAUTHENTICATED"],
    [
      "a run that is not there",
      `ai.stream?input=${encodeURIComponent(JSON.stringify({ runId: "0199aaaa-0000-7000-8000-000000000000" }))}`,
      404,
      "NOT_FOUND",
    ],
  ] as const)(
    "a stream refused at its start (%s) says so in its status, in tRPC's words, and is counted",
    async (who, path, status, code) => {
      const series = `refusals_total{code="${code}"}`;
      const before = (await scrape(server.url)).get(series) ?? 0;
      const answer = await stream(path, who === "nobody" ? undefined : ann.accessToken);
      const text = await answer.text();
      expect(answer.status).toBe(status);
      expect(text).toContain("event: serialized-error");
      expect(text).toContain(`"code":"${code}"`);
      await expect.poll(async () => (await scrape(server.url)).get(series)).toBe(before + 1);
    },
  );

  it.each(["/api/auth/google", "/api/auth/google/callback"])(
    "counts %s under its own name",
    async (route) => {
      const series = `http_request_duration_seconds_count{route="${route}",method="GET",status="3xx"}`;
      const before = (await scrape(server.url)).get(series) ?? 0;
      await server.signIn("steps@metrics.example");
      await expect.poll(async () => (await scrape(server.url)).get(series)).toBe(before + 1);
    },
  );

  it("a stream asked for by POST is a 405 that names GET", async () => {
    const answer = await fetch(`${server.url}/api/trpc/credit.onChange`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${ann.accessToken}` },
    });
    expect(await answer.text()).toContain('"httpStatus":405');
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET"]);
  });

  it("a stream too many is a 429 and counted; open ones are seen", async () => {
    const open = await Promise.all(
      Array.from({ length: 20 }, () => stream("credit.onChange", ann.accessToken)),
    );
    expect(open.map(({ status }) => status)).toEqual(open.map(() => 200));
    expect((await scrape(server.url)).get("http_streams_open")).toBe(20);
    const refused = await stream("credit.onChange", ann.accessToken);
    await refused.text();
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).not.toBeNull();
    for (const { body } of open) await body?.cancel();
    await expect
      .poll(async () => (await scrape(server.url)).get("http_streams_open"), { timeout: 10_000 })
      .toBe(0);
    expect((await scrape(server.url)).get('refusals_total{code="RATE_LIMITED"}')).toBe(1);
  });

  it("counts the runs of every job from 0, and one that was never run is as old as the process", async () => {
    const samples = await scrape(server.url);
    for (const job of ["doctor", "reconcile", "sessions-prune"]) {
      for (const outcome of ["ok", "failed"])
        expect(samples.get(`job_runs_total{job_name="${job}",outcome="${outcome}"}`)).toBe(0);
      const age = samples.get(`job_last_success_age_seconds{job_name="${job}"}`) ?? 0;
      expect(Math.abs(age - process.uptime())).toBeLessThan(5);
    }
  });

  it("shows the back end, its errors, and jobs with the age of their last success", async () => {
    await server.app.jobs.runNow("sessions-prune");
    await expect(
      server.opened.backend.database.models.$queryRawUnsafe("SELECT nonsense FROM nowhere"),
    ).rejects.toThrow();
    const samples = await scrape(server.url);
    const names = [...samples.keys()].join("\n");
    expect(samples.get('database_errors_total{kind="other"}')).toBeGreaterThan(0);
    expect(samples.get('job_runs_total{job_name="sessions-prune",outcome="ok"}')).toBe(1);
    expect(samples.get('job_behind_seconds{job_name="sessions-prune"}')).toBe(0);
    expect(samples.get("log_lines_dropped_total")).toBe(0);
    expect(names).toContain("build_info{version=");
    if (available.dialect === "mysql")
      expect(names).toContain('database_pool_connections{pool="ledger",state="limit"}');
    if (available.redis) expect(samples.get("redis_up")).toBe(1);
    // An answer from a few seconds ago may be cached.
    await expect
      .poll(
        async () => {
          const now = await scrape(server.url);
          const age = (job: string) => now.get(`job_last_success_age_seconds{job_name="${job}"}`);
          return (age("sessions-prune") ?? 0) < (age("doctor") ?? 0);
        },
        { timeout: 20_000, interval: 1_000 },
      )
      .toBe(true);
  });
});
