// A Prometheus of a suite's own, on a free loopback port, scraping one server every second.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./ports.ts";

/** Whether Prometheus and promtool are here (`apt-get install prometheus`). */
export const prometheusInstalled = ["prometheus", "promtool"].every(
  (command) => spawnSync(command, ["--version"]).status === 0,
);

/** One Prometheus. */
export type Prometheus = Awaited<ReturnType<typeof startPrometheus>>;

/** Starts one that scrapes `/metrics` of `target` (`host:port`). */
export async function startPrometheus(target: string) {
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
  const isUp = () =>
    fetch(`http://${address}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  const deadlineMs = Date.now() + 60_000;
  while (!(await isUp())) {
    if (child.exitCode !== null || Date.now() > deadlineMs)
      throw new Error("Prometheus did not start.");
    await sleep(200);
  }
  return {
    /** The series a PromQL expression answers with right now. Throws what Prometheus says of a bad one. */
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
