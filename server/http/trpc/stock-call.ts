// What tRPC's own handler will make of a request, as it reads it: what it refuses unseen, and whether it streams the answer.
import type { IncomingMessage } from "node:http";
import { parseConnectionParamsFromString } from "@trpc/server/http";
import { MAX_BATCH_SIZE } from "../../trpc/limits.ts";
import type { TrpcRequest } from "./lean-path.ts";
import { type Procedure, procedures } from "./procedures.ts";

const STREAMED = "application/jsonl";

/** Whether the calls of a batch are answered as they end, behind headers that have left already. */
export function isStreamed({ headers }: IncomingMessage): boolean {
  const wanted = headers["trpc-accept"];
  if (wanted !== undefined) return wanted === STREAMED;
  return headers.accept?.split(",").some((type) => type.trim() === STREAMED) ?? false;
}

/** The names of a request that reach no procedure to count them: all, at most MAX_BATCH_SIZE, where it is refused as a whole. */
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

/** No procedure reads them; what tRPC cannot read is refused all the same. */
function areConnectionParams(text: string | null): boolean {
  try {
    if (text !== null) parseConnectionParamsFromString(text);
    return true;
  } catch {
    return false;
  }
}
