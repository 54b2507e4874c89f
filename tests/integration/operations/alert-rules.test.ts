// When alerts fire and when they do not: promtool evaluates the rules on made-up series.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const page = (name: string) =>
  fileURLToPath(new URL(`../../../docs/operations/${name}`, import.meta.url));
const promtoolInstalled = spawnSync("promtool", ["--version"]).status === 0;

if (!promtoolInstalled) console.log("alerts are not tried: there is no promtool here");

/** Returns promtool's complaints about the rules on `series`, one sample a minute; empty if all is as expected. */
function complaints(
  series: Record<string, string>,
  expected: object,
  evaluation_interval = "1m",
): string {
  const folder = mkdtempSync(join(tmpdir(), "skywork-alerts-"));
  const file = join(folder, "test.yml");
  const input_series = Object.entries(series).map(([name, values]) => ({ series: name, values }));
  const test = { interval: "1m", input_series, ...expected };
  // JSON is valid YAML.
  writeFileSync(
    file,
    JSON.stringify({ rule_files: [page("alerts.yml")], evaluation_interval, tests: [test] }),
  );
  const { status, stdout, stderr } = spawnSync("promtool", ["test", "rules", file]);
  rmSync(folder, { recursive: true });
  return status === 0 ? "" : `${stdout.toString()}${stderr.toString()}`;
}

/** Whether the alert with this name fires at `minute`. */
function fires(alertname: string, minute: number, series: Record<string, string>): boolean {
  const silent = { eval_time: `${minute}m`, alertname, exp_alerts: [] };
  // Evaluating days minute by minute would take seconds.
  const said = complaints(series, { alert_rule_test: [silent] }, minute > 100 ? "10m" : "1m");
  if (said !== "" && !said.includes("got:")) throw new Error(said);
  return said !== "";
}

const FAILED = 'job_runs_total{job_name="doctor",outcome="failed"}';
const AGE = "job_last_success_age_seconds";
const UP = 'up{job="api",instance="a:5000"}';
const STATE = 'dependency_state{job="api",instance="a:5000",dependency="database"}';

describe.runIf(promtoolInstalled)("alerts.yml", () => {
  it.each<[string, number, Record<string, string>, boolean]>([
    ["NothingIsScraped", 20, { [UP]: "1x10 0x20", [STATE]: "1x10 stale" }, true],
    ["NothingIsScraped", 20, { [UP]: "1x30", [STATE]: "1x30" }, false],
    ["InstanceLost", 20, { [UP]: "1x10 0x20", [STATE]: "1x10 stale" }, true],
    // Taken out of service: no longer a target.
    ["InstanceLost", 20, { [UP]: "1x10 stale", [STATE]: "1x10 stale" }, false],
    // Belongs to another job.
    ["InstanceLost", 20, { 'up{job="other",instance="b:80"}': "0x30", [STATE]: "1x30" }, false],
    ["BooksDoNotAddUp", 20, { [FAILED]: "0x10 1x20" }, true],
    ["BooksDoNotAddUp", 20, { [FAILED]: "0x30" }, false],
    ["BooksNotAudited", 2_960, { [`${AGE}{job_name="doctor"}`]: "0+60x3000" }, true],
    ["BooksNotAudited", 2_800, { [`${AGE}{job_name="doctor"}`]: "0+60x3000" }, false],
    // It was late, and has succeeded since.
    ["BooksNotAudited", 2_960, { [`${AGE}{job_name="doctor"}`]: "0+60x2900 0+60x100" }, false],
    ["StripeEventsWait", 20, { stripe_events_oldest_pending_seconds: "0x10 60+60x20" }, true],
    ["StripeEventsWait", 20, { stripe_events_oldest_pending_seconds: "0x10 60+60x4 0x20" }, false],
    ["JobStale", 400, { [`${AGE}{job_name="reconcile"}`]: "0+60x3000" }, true],
    // It runs every six hours and a little more.
    ["JobStale", 400, { [`${AGE}{job_name="roll-up-usage"}`]: "0+60x3000" }, false],
    ["JobStale", 1_100, { [`${AGE}{job_name="roll-up-usage"}`]: "0+60x3000" }, true],
  ])("%s after %i minutes of %o: %s", (alertname, minute, series, expected) => {
    expect(fires(alertname, minute, series)).toBe(expected);
  });

  it("leaves the calls that ask Stripe out of the objective of the others", () => {
    const [, , others = ""] = [
      ...readFileSync(page("slo.md"), "utf8").matchAll(/```promql\n([\s\S]*?)```/g),
    ].map(([, query = ""]) => query);
    const route = (name: string, within: number) => ({
      [`http_request_duration_seconds_bucket{route="${name}",le="1"}`]: `0+${within}x60`,
      [`http_request_duration_seconds_count{route="${name}"}`]: "0+10x60",
    });
    const series = {
      ...route("trpc admin.refundPayment", 0),
      ...route("trpc admin.replayEvent", 0),
      ...route("trpc user.delete", 0),
      ...route("DELETE /api/user", 0),
      ...route("POST /api/payment/checkout", 0),
      ...route("DELETE /api/auth/sessions/{sessionId}", 10),
      ...route("GET /api/user", 5),
    };
    const expected = {
      expr: others,
      eval_time: "60m",
      exp_samples: [{ labels: "{}", value: 0.75 }],
    };
    expect(complaints(series, { promql_expr_test: [expected] })).toBe("");
  });
});
