// An unavailable or silent collector has no effect, shutdown sends pending spans, and without one no SDK is loaded.
import { beforeAll, expect, test } from "vitest";
import { ROOT } from "../bench/built.ts";
import { startCollector } from "../support/collector.ts";
import { EMBEDDED } from "../support/databases.ts";
import { freePort } from "../support/ports.ts";
import { SERVER_PROGRAM, spawnServer } from "../support/process.ts";
import { serverEnv } from "../support/server-env.ts";
import { use } from "../support/use.ts";

const opened = use(() => EMBEDDED.open());
let env: Record<string, string>;
beforeAll(async () => {
  await opened.backend.close();
  env = serverEnv({
    LOG_LEVEL: "info",
    SHUTDOWN_DELAY_MS: "0",
    ...opened.env,
  });
});

/** On exit, prints how many SDK files the process has loaded; all are CommonJS. (prom-client loads only the API.) */
const TELL_LOADED = `data:text/javascript,${encodeURIComponent(
  `import { createRequire } from "node:module";
  process.on("exit", () => {
    const files = Object.keys(createRequire(${JSON.stringify(`${ROOT}package.json`)}).cache);
    process.stderr.write("loaded " + files.filter((file) => /@opentelemetry.(?!api\\b)/.test(file)).length + "\\n");
  });`,
)}`;

/** Starts a server, sends it a hundred requests, and stops it. */
async function live(more: Record<string, string>) {
  const program = ["--import", TELL_LOADED, ...SERVER_PROGRAM];
  const server = spawnServer({ ...env, ...more, PORT: String(await freePort()) }, program);
  await server.ready();
  for (let call = 0; call < 100; call += 1) {
    const answer = await fetch(`${server.url}/api/trpc/credit.costs`);
    expect(answer.status, await answer.text()).toBe(200);
  }
  server.child.kill("SIGTERM");
  // Exit code 1 would mean that the shutdown was cut short.
  expect(await server.exited, server.output()).toBe(0);
  return { output: server.output(), loaded: Number(/loaded (\d+)/.exec(server.output())?.[1]) };
}

test("without an endpoint no SDK is loaded", async () => {
  const { loaded, output } = await live({ OTEL_SERVICE_NAME: "unused" });
  expect(loaded).toBe(0);
  expect(output).not.toContain("traceId");
});

test("with one, what has not been sent by the stop is sent then", async () => {
  const collector = await startCollector();
  const { loaded, output } = await live({
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`,
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20abcdefgh",
    OTEL_SERVICE_NAME: "named",
  });
  await collector.close();
  expect(loaded).toBeGreaterThan(0);
  expect(collector.headers[0]?.authorization).toBe("Basic abcdefgh");
  const requests = collector.spans.filter(({ name }) => name === "trpc credit.costs");
  expect(requests).toHaveLength(100);
  expect(requests[0]?.resource["service.name"]).toBe("named");
  expect(output).toContain(`"traceId":"${requests[0]?.traceId}"`);
});

test("one that is away disturbs nobody, and the log says so", async () => {
  const { output } = await live({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}`,
  });
  expect(output).toContain("traces do not reach the collector");
});

test("one that never answers holds up no stop", async () => {
  const collector = await startCollector({ silent: true });
  await live({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces` });
  await collector.close();
});
