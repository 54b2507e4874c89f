import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeBackend } from "../../support/databases.ts";
import { availableBackends } from "../../support/servers.ts";
import { freePort } from "../../support/ports.ts";
import { openTestApp, type TestApp } from "../../support/server.ts";
import { until } from "../../support/until.ts";

/** Whether Prometheus and promtool are installed (`apt-get install prometheus`). */
const prometheusInstalled = ["prometheus", "promtool"].every(
  (command) => spawnSync(command, ["--version"]).status === 0,
);

const page = (name: string) =>
  fileURLToPath(new URL(`../../../docs/operations/${name}`, import.meta.url));
const read = (name: string) => readFileSync(page(name), "utf8");

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** Every query of the dashboard, with the interval that Grafana would fill in. */
function panelQueries(): [string, string][] {
  const { panels } = JSON.parse(read("dashboard.json")) as { panels: Panel[] };
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }): [string, string] => [
      title,
      expr.replaceAll("$__rate_interval", "10s"),
    ]),
  );
}

/** The condition of every alert. */
function alertConditions(): [string, string][] {
  const rules = /- alert: (\w+)\n\s+expr: (?:\|\n)?([\s\S]*?)\n\s+(?:for|labels):/g;
  return [...read("alerts.yml").matchAll(rules)].map(([, name = "", expr = ""]) => [name, expr]);
}

/** The alerts that fire only when servers are missing. */
const OF_NOTHING = ["NothingIsScraped", "InstanceLost"];

/** Makes comparisons return 0 or 1, because an alert that does not fire has no series. */
function alertQueries(): [string, string][] {
  return alertConditions()
    .filter(([name]) => !OF_NOTHING.includes(name))
    .map(([name, expr]) => [name, expr.replaceAll(/ (==|>|<) /g, " $1 bool ")]);
}

/** The queries of the service level objectives. */
function objectiveQueries(): [string, string][] {
  const blocks = [...read("slo.md").matchAll(/```promql\n([\s\S]*?)```/g)];
  return blocks.map(([, query = ""], index) => [`objective ${index + 1}`, query]);
}

if (!prometheusInstalled)
  console.log("dashboard and alerts are not checked: there is no Prometheus here");

describe.runIf(prometheusInstalled)("docs/operations", () => {
  it("promtool finds nothing wrong with the alert rules", () => {
    const { status, stdout, stderr } = spawnSync("promtool", [
      "check",
      "rules",
      page("alerts.yml"),
    ]);
    expect(`${stdout.toString()}${stderr.toString()}`).toContain("SUCCESS");
    expect(status).toBe(0);
    expect(alertConditions().length).toBe(read("alerts.yml").match(/- alert:/g)?.length);
  });

  describe("on a server under load", () => {
    let server: TestApp;
    let prometheus: Awaited<ReturnType<typeof startPrometheus>>;
    let isLoading = true;
    let load: Promise<unknown> = Promise.resolve();
    // The most complete back end available: with a connection pool and Redis if possible.
    let hasPool = false;
    let hasRedis = false;

    beforeAll(async () => {
      const backends = await availableBackends();
      const fullest = backends.find(({ database, redis }) => database !== null && redis !== null);
      const { name, database, redis } = fullest ?? { name: "SQLite", database: null, redis: null };
      hasPool = database !== null;
      hasRedis = redis !== null;
      server = await openTestApp({ available: describeBackend(name, database, redis) });
      prometheus = await startPrometheus(
        new URL(server.url).host.replace("localhost", "127.0.0.1"),
      );
      load = keepBusy(server, () => isLoading);
    });
    const stopServer = async () => {
      if (!isLoading) return;
      isLoading = false;
      await load;
      await server.close();
    };
    afterAll(async () => {
      await stopServer();
      await prometheus.close();
    });

    const isThere = (query: string) =>
      (hasRedis || !query.includes("redis_")) && (hasPool || !query.includes("database_pool"));

    it("every panel, alert and objective has data", { timeout: 240_000 }, async () => {
      const open = new Map(
        [...panelQueries(), ...alertQueries(), ...objectiveQueries()]
          .filter(([, query]) => isThere(query))
          .map(([name, query]) => [query, name]),
      );
      expect(open.size).toBeGreaterThan(50);
      await expect
        .poll(
          async () => {
            for (const query of open.keys()) {
              const series = await prometheus.query(query);
              if (series.some(({ value }) => Number.isFinite(Number(value)))) open.delete(query);
            }
            return [...open].map(([query, name]) => `${name}: ${query}`);
          },
          { timeout: 200_000, interval: 2_000 },
        )
        .toEqual([]);
    });

    it("is missed once it is stopped, by Prometheus's own account", {
      timeout: 60_000,
    }, async () => {
      const conditions = alertConditions().filter(([name]) => OF_NOTHING.includes(name));
      expect(conditions).toHaveLength(OF_NOTHING.length);
      const firing = async () => {
        const fires = async ([name, query]: [string, string]) =>
          (await prometheus.query(query)).length > 0 ? [name] : [];
        return (await Promise.all(conditions.map(fires))).flat().sort();
      };
      expect(await firing()).toEqual([]);
      await stopServer();
      await expect.poll(firing, { timeout: 30_000 }).toEqual([...OF_NOTHING].sort());
    });
  });
});

/** Generates a little of everything repeatedly: sign-ins, spends, refusals, a checkout, a stream, jobs, probes. */
async function keepBusy(server: TestApp, goOn: () => boolean): Promise<void> {
  const ann = await server.signIn("ann@dashboard.example");
  const { packages } = await ann.client.payment.packages.query();
  const stream = await fetch(`${server.url}/api/trpc/credit.onChange`, {
    headers: { accept: "text/event-stream", authorization: `Bearer ${ann.accessToken}` },
  });
  expect(await server.app.jobs.runNow("doctor")).toMatchObject({ ok: true });
  await ann.client.payment.checkout.mutate({ packageId: packages[0]?.id ?? "" });
  for (let turn = 0; goOn(); turn += 1) {
    const work: Promise<unknown>[] = [
      ann.client.credit.balance.query(),
      server.client().credit.balance.query(),
      fetch(`${server.url}/ready`).then((answer) => answer.text()),
      server.signIn(`person-${turn}@dashboard.example`),
      server.app.jobs.runNow("sessions-prune"),
      ann.client.payment.checkout.mutate({ packageId: packages[turn % 2]?.id ?? "" }),
    ];
    // Some are refused, as they should be.
    await Promise.allSettled(work);
    // Alone, because calls that share a batch share its route.
    await ann.client.credit.spend
      .mutate({ feature: "chat-flash", idempotencyKey: `turn-${turn}` })
      .catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  await stream.body?.cancel();
}

/** Starts Prometheus on a free loopback port, scraping `/metrics` of `target` (`host:port`) every second. */
async function startPrometheus(target: string) {
  const folder = await mkdtemp(join(tmpdir(), "skywork-prometheus-"));
  const config = join(folder, "prometheus.yml");
  await writeFile(
    config,
    JSON.stringify({
      global: { scrape_interval: "1s", scrape_timeout: "1s" },
      scrape_configs: [{ job_name: "skywork", static_configs: [{ targets: [target] }] }],
    }),
  );
  const address = `127.0.0.1:${await freePort()}`;
  const child = spawn(
    "prometheus",
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${address}`,
    ],
    { stdio: "ignore" },
  );
  const exited = once(child, "exit");
  const isUp = async () => {
    if (child.exitCode !== null) throw new Error("Prometheus did not start.");
    return fetch(`http://${address}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  };
  await until(isUp, { everyMs: 200, otherwise: () => "Prometheus did not start." });
  return {
    /** Returns the current series of a PromQL expression. Throws Prometheus's error for a bad one. */
    async query(expression: string) {
      const answer = await fetch(`http://${address}/api/v1/query`, {
        method: "POST",
        body: new URLSearchParams({ query: expression }),
      });
      const body = (await answer.json()) as {
        status: string;
        error?: string;
        data?: { result: { metric: Record<string, string>; value: [number, string] }[] };
      };
      if (body.data === undefined) throw new Error(`${body.error}: ${expression}`);
      return body.data.result.map(({ metric, value }) => ({ metric, value: value[1] }));
    },
    async close() {
      child.kill("SIGTERM");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
