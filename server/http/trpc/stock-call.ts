// Predicts what tRPC's own handler does with a request: what it refuses outright, and whether it streams the response.
import type { IncomingMessage } from "node:http";
import { parseConnectionParamsFromString } from "@trpc/server/http";
import { MAX_BATCH_SIZE } from "../../trpc/limits.ts";
import type { TrpcRequest } from "./lean-path.ts";
import { type Procedure, procedures } from "./procedures.ts";

const STREAMED = "application/jsonl";

/** Whether each call of a batch is answered as it completes, after the headers have already been sent. */
export function isStreamed({ headers }: IncomingMessage): boolean {
  const wanted = headers["trpc-accept"];
  if (wanted !== undefined) return wanted === STREAMED;
  return headers.accept?.split(",").some((type) => type.trim() === STREAMED) ?? false;
}

/** Returns the names that no procedure will count: all (up to MAX_BATCH_SIZE) if the whole request is refused. */
export function unreachedNames(
  request: IncomingMessage,
  { path, search }: TrpcRequest,
): readonly string[] {
  const batch = search.get("batch") === "1";
  const names = batch ? path.split(",", MAX_BATCH_SIZE + 1) : [path];
  const called = names.map((name) => procedures.get(name));
  const kinds = new Set(called.flatMap((procedure) => procedure?._def.type ?? []));
  if (
    names.length > MAX_BATCH_SIZE ||
    kinds.size > 1 ||
    (isStreamed(request) && !batch) ||
    !areConnectionParams(search.get("connectionParams"))
  )
    return names.slice(0, MAX_BATCH_SIZE);
  return names.filter((_name, index) => !isCallable(request.method, called[index], batch));
}

function isCallable(
  method: string | undefined,
  procedure: Procedure | undefined,
  batch: boolean,
): boolean {
  if (procedure === undefined || (batch && procedure._def.type === "subscription")) return false;
  return method === (procedure._def.type === "mutation" ? "POST" : "GET");
}

/** Whether tRPC can parse the connection parameters. No procedure reads them, but tRPC refuses malformed ones. */
function areConnectionParams(text: string | null): boolean {
  try {
    if (text !== null) parseConnectionParamsFromString(text);
    return true;
  } catch {
    return false;
  }
}
