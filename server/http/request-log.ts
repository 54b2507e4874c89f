// The canonical log line: one per request, once its response is sent or its client has left; for a stream, at its end.
// It does not include time spent in the database or Redis, because one transaction or round trip serves many requests
// simultaneously. Metrics report that per batch (ledger_batch_duration_seconds).
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Logger, writeInfo } from "../lib/logger.ts";
import { isDenial } from "../trpc/notes.ts";
import { TRPC_PREFIX } from "./path.ts";
import type { RequestRecord } from "./request-record.ts";

/** Probes and scrapes would flood logs and traces. */
export const QUIET_PATHS = new Set(["/health", "/ready", "/metrics"]);
const MAX_LENGTH = 200;

/** A finished request. */
interface Ended {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly record: RequestRecord;
  readonly path: string;
  readonly durationMs: number;
}

/** Creates the function that logs a request when it ends. `path` is the original one: Express changes the URL. */
export function createRequestLog(logger: Logger) {
  return (exchange: Omit<Ended, "durationMs">): void => {
    if (QUIET_PATHS.has(exchange.path)) return;
    const startedAt = performance.now();
    exchange.response.on("close", () => {
      const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
      const ended = { ...exchange, durationMs };
      if (isOrdinary(ended)) writeInfo(logger, ordinaryFields(ended), "request completed");
      else writeLine(logger, ended);
    });
  };
}

/** Whether the call succeeded and its line has none of the client's own text, so nothing in it could be a secret. */
function isOrdinary({ request, response, record: { notes }, path }: Ended): boolean {
  return (
    response.statusCode === 200 &&
    response.writableEnded &&
    notes.code === null &&
    notes.procedure !== "" &&
    path === TRPC_PREFIX + notes.procedure &&
    request.headers["x-request-id"] === undefined
  );
}

/** Returns an ordinary line's fields as `fieldsOf` would, but serialized by hand at a tenth of the cost. */
function ordinaryFields({ request, record, path, durationMs }: Ended): string {
  const { procedure, userId, service, creditsCharged, creditsGranted } = record.notes;
  const trace = record.traceId === null ? "" : `"traceId":"${record.traceId}",`;
  const who = service === null ? "" : `,"service":${JSON.stringify(service)}`;
  const whose = userId === null ? "" : `,"userId":${JSON.stringify(userId)}`;
  const charged = creditsCharged === 0 ? "" : `,"charged":${creditsCharged}`;
  const granted = creditsGranted === 0 ? "" : `,"granted":${creditsGranted}`;
  return (
    `${trace}"requestId":"${record.requestId}","method":"${request.method}","path":"${path}"` +
    `,"procedure":"${procedure}"${who}${whose},"status":200,"durationMs":${durationMs}${charged}${granted}`
  );
}

function fieldsOf({ request, response, record, path, durationMs }: Ended) {
  const { notes, requestId } = record;
  return {
    ...(record.traceId === null ? {} : { traceId: record.traceId }),
    requestId,
    method: request.method,
    path: path.slice(0, MAX_LENGTH),
    ...(notes.procedure === "" ? {} : { procedure: notes.procedure }),
    ...(notes.service === null ? {} : { service: notes.service }),
    ...(notes.userId === null ? {} : { userId: notes.userId }),
    status: response.statusCode,
    ...(notes.code === null ? {} : { code: notes.code }),
    durationMs,
    ...(notes.creditsCharged === 0 ? {} : { charged: notes.creditsCharged }),
    ...(notes.creditsGranted === 0 ? {} : { granted: notes.creditsGranted }),
  };
}

function writeLine(logger: Logger, ended: Ended): void {
  const { request, response, record } = ended;
  const { code, error, refusedIp, sessionId } = record.notes;
  const line = { ...fieldsOf(ended), ...(refusedIp === null ? {} : { ip: refusedIp }) };
  if (response.statusCode >= 500 || error !== undefined) {
    logger.error({ ...line, err: error }, "request failed");
  } else if (code !== null && isDenial(code)) {
    const origin = request.headers.origin?.slice(0, MAX_LENGTH) ?? null;
    const denial = { event: "access denied", sessionId, ip: refusedIp, origin };
    logger.warn({ ...line, ...denial }, "request refused");
  } else if (!response.writableEnded) logger.info(line, "request aborted");
  else logger.info(line, code === null ? "request completed" : "request refused");
}
