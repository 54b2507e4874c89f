// What app.ts puts between the parts to make them observable: the parts themselves do not notice.
import type { ModelPort } from "../ai/ports.ts";
import type { AuthService } from "../auth/auth.service.ts";
import type { IdentityProvider } from "../auth/ports.ts";
import type { Config } from "../config/config.ts";
import type { Readiness } from "../health/health.types.ts";
import type { Backend } from "../infrastructure.ts";
import type { Job, JobRunner } from "../jobs/runner.ts";
import type { LedgerDeps } from "../ledger/ledger.ts";
import { droppedLines, type Logger } from "../lib/logger.ts";
import { memoize } from "../lib/memoize.ts";
import type { Tracer } from "../lib/tracer.ts";
import type { PaymentService } from "../payment/payment.service.ts";
import type { StripePort } from "../payment/stripe/port.ts";
import type { PaymentStoreDeps } from "../payment/payment.store.ts";
import { createAfterCommit } from "./after-commit.ts";
import type { Vendor } from "./call-metrics.ts";
import { watchEventLoop } from "./event-loop.ts";
import { createMetrics, type Metrics, type MetricsDeps } from "./metrics.ts";
import { type CallObserver, observeCalls, observeModel, outcomeOf } from "./observed-calls.ts";
import { createTraces } from "./traces.ts";
import { readVersion } from "./version.ts";

/** The metrics, and the parts wrapped in metrics and traces. */
export type Telemetry = ReturnType<typeof createTelemetry>;

/** What exists only later and is read at each scrape. */
export interface TelemetrySources {
  readonly payment: () => Pick<PaymentService, "eventBacklog" | "oldestPendingEventAt">;
  readonly ledger: () => { readonly pending: number };
  readonly jobs: () => Pick<JobRunner, "jobStatuses">;
  readonly readiness: () => Promise<Readiness>;
  readonly renderAllWorkers: MetricsDeps["renderAllWorkers"];
}

/** A scrape every few seconds must not become load for the database. */
const REMEMBER_MS = 10_000;

/** Creates the telemetry. `sources` are called at the first scrape, not before. */
export function createTelemetry(
  deps: { config: Config; backend: Backend; logger: Logger; tracer?: Tracer | null },
  sources: TelemetrySources,
) {
  const { config, backend, logger, tracer = null } = deps;
  const traces = createTraces(tracer, backend);
  const metrics = createMetrics({
    config,
    version: readVersion(),
    backend,
    readiness: () => sources.readiness(),
    renderAllWorkers: sources.renderAllWorkers,
    backlog: memoize(REMEMBER_MS, () => sources.payment().eventBacklog()),
    oldestPendingEventAt: memoize(REMEMBER_MS, () => sources.payment().oldestPendingEventAt()),
    droppedLines: () => droppedLines(logger),
    ledgerPending: () => sources.ledger().pending,
    jobStatuses: memoize(REMEMBER_MS, () => sources.jobs().jobStatuses()),
  });
  const { calls, ledger, business } = metrics;
  const afterCommit = createAfterCommit(backend.database);
  const onStatementEnd = (error?: unknown) => {
    if (error !== undefined) calls.databaseFailed(error);
  };
  const stopObserving = backend.onStatement(() => onStatementEnd);
  const stopWatching = watchEventLoop(logger, metrics.stalled);
  const observe =
    (vendor: Vendor): CallObserver =>
    ({ name, error, seconds }) =>
      calls.called(vendor, name, outcomeOf(error), seconds);
  const onApplied: LedgerDeps["onApplied"] = (operation, result, tx) => {
    if (tx === undefined) ledger.moved(operation, result);
    else afterCommit.on(tx, () => ledger.moved(operation, result));
  };
  const onExpired: LedgerDeps["onExpired"] = (credits, tx) => {
    if (tx === undefined) ledger.expired(credits);
    else afterCommit.on(tx, () => ledger.expired(credits));
  };
  const onMoney: PaymentStoreDeps["onMoney"] = (tx, { minorUnits, currency }) =>
    afterCommit.on(tx, () => business.money(minorUnits, currency));
  return {
    metrics,
    /** The back end, whose transactions count what they did only once they are durable. */
    backend: { ...backend, database: afterCommit.database },
    onBatch: ledger.batch,
    onApplied,
    onExpired,
    onMoney,
    stripe: (port: StripePort) => observeCalls(traces.calls("stripe", port), observe("stripe")),
    google: (port: IdentityProvider) =>
      observeCalls(traces.calls("google", port), observe("google")),
    model: (port: ModelPort) => observeModel(traces.model(port), observe("model")),
    auth: (service: AuthService) => countSignIns(service, metrics),
    jobs(jobs: readonly Job[]) {
      metrics.jobs.begin(jobs.map(({ name }) => name));
      return traces.jobs(jobs);
    },
    close() {
      stopWatching();
      stopObserving();
      traces.close();
      metrics.close();
    },
  };
}

function countSignIns(service: AuthService, { business }: Metrics): AuthService {
  return {
    ...service,
    async finishSignIn(request) {
      const redirect = await service.finishSignIn(request);
      business.signedIn(redirect.error ?? "ok");
      return redirect;
    },
  };
}
