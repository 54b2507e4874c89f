// tRPC itself: initialised once, then the error, limit and authority middleware, then the procedures routers use.
// Edit it when a new kind of caller appears; a new feature only needs the procedures at the bottom.
import { initTRPC, TRPCError } from "@trpc/server";
import { ZodError } from "zod";
import { type AppErrorData, ERROR_CODES } from "../../shared/src/errors.ts";
import type { Principal } from "../auth/auth.types.ts";
import { toServiceUnavailable } from "../database/errors.ts";
import { AppError, isAppError, notFound } from "../lib/errors.ts";
import type { Tracer } from "../lib/tracer.ts";
import type { ServiceCaller } from "../workers/workers.types.ts";
import { authorisedStream } from "./authority-stream.ts";
import { awaitFirstEvent } from "./first-event.ts";
import type { Context } from "./context.ts";
import { BATCH_TOO_LARGE, countCall } from "./limits.ts";
import type { ProcedureMeta } from "./meta.ts";
import { isDenial, noteCredits, noteProcedure, noteRefusal } from "./notes.ts";
import { isAsyncIterable } from "./stream.ts";

const t = initTRPC
  .context<Context>()
  .meta<ProcedureMeta>()
  .create({
    isDev: false,
    sse: {
      ping: { enabled: true, intervalMs: 15_000 },
      // Callers are authenticated when a stream opens, so it has to reopen now and then. Clients do that automatically.
      maxDurationMs: 10 * 60_000,
      client: { reconnectAfterInactivityMs: 45_000 },
    },
    errorFormatter({ shape, error, ctx }) {
      const appError = toAppError(error);
      const { code, httpStatus } = wireCode(error, appError);
      const app = {
        code: appError.code,
        ...appError.details,
        ...(ctx === undefined ? {} : { requestId: ctx.request.requestId }),
      } as AppErrorData;
      return {
        message: messageFor(appError, ctx?.request.requestId),
        code: shape.code,
        data: {
          code,
          httpStatus,
          ...(shape.data.path === undefined ? {} : { path: shape.data.path }),
          app,
        },
      };
    },
  });

/** Returns the message a client gets for an error; for an unexpected one, nothing but which request to report. */
export function messageFor(error: AppError, requestId: string | undefined): string {
  if (error.code !== "INTERNAL") return error.message;
  return requestId === undefined
    ? "Something went wrong on our side. Please try again."
    : `Something went wrong on our side. Please try again; if it stays, report request ${requestId}.`;
}

/** tRPC's own 405 and 415 keep their code; everything else gets the one of the closed list. */
function wireCode(error: TRPCError, appError: AppError) {
  const known = ERROR_CODES[appError.code];
  if (error.code === "METHOD_NOT_SUPPORTED") return { code: error.code, httpStatus: 405 };
  if (error.code === "UNSUPPORTED_MEDIA_TYPE") return { code: error.code, httpStatus: 415 };
  return { code: known.trpc, httpStatus: known.httpStatus };
}

const TRPC_TO_APP: Partial<
  Record<TRPCError["code"], "UNAUTHENTICATED" | "FORBIDDEN" | "NOT_FOUND" | "CONFLICT">
> = {
  UNAUTHORIZED: "UNAUTHENTICATED",
  FORBIDDEN: "FORBIDDEN",
  NOT_FOUND: "NOT_FOUND",
  CONFLICT: "CONFLICT",
};

/** Maps any error to one of the closed list. The text of an unexpected error never gets through. */
export function toAppError(error: unknown): AppError {
  if (isAppError(error)) return error;
  if (error instanceof TRPCError) {
    if (isAppError(error.cause)) return error.cause;
    if (error.code === "BAD_REQUEST" && error.cause instanceof ZodError)
      return validationError(error.cause);
    if (error.cause instanceof SyntaxError && error.code === "BAD_REQUEST")
      return AppError.of("VALIDATION_FAILED", "The request is not valid JSON.", { fields: {} });
    if (error.code === "PAYLOAD_TOO_LARGE")
      return AppError.of("PAYLOAD_TOO_LARGE", "The request is too large.");
    // tRPC has no separate code for this; tests/integration/http/bad-input pins the wording.
    if (error.message === "Batch call exceeds maximum size")
      return AppError.of("BATCH_TOO_LARGE", BATCH_TOO_LARGE);
    const code = TRPC_TO_APP[error.code];
    if (code === "NOT_FOUND") return notFound("procedure");
    if (code !== undefined) return AppError.of(code, error.message);
    if (error.code !== "INTERNAL_SERVER_ERROR")
      return AppError.of(
        "VALIDATION_FAILED",
        "The request could not be understood.",
        { fields: {} },
        error,
      );
  }
  // A database that is unavailable or contended, or whose outcome is unknown, means "not now", wherever that happened.
  return (
    toServiceUnavailable(error) ?? AppError.of("INTERNAL", "Unexpected error", undefined, error)
  );
}

/** Wraps an error of the closed list for tRPC. */
export function asTrpcError(error: AppError): TRPCError {
  return new TRPCError({
    code: ERROR_CODES[error.code].trpc,
    message: error.message,
    cause: error,
  });
}

/** Turns a ZodError into VALIDATION_FAILED: `fields` maps each path (`""` for the whole input) to its messages. */
export function validationError(error: ZodError): AppError {
  const fields: Record<string, string[]> = {};
  for (const issue of error.issues.slice(0, 20)) {
    const path = issue.path.map(String).join(".").slice(0, 200);
    const sentences = Object.hasOwn(fields, path) ? fields[path] : undefined;
    if (sentences) sentences.push(issue.message);
    else
      Object.defineProperty(fields, path, {
        value: [issue.message],
        enumerable: true,
      });
  }
  const [path = "", sentences = []] = Object.entries(fields)[0] ?? [];
  const where = path === "" ? "" : `${path}: `;
  return AppError.of(
    "VALIDATION_FAILED",
    `Please check the input: ${where}${sentences[0] ?? "it is not valid."}`,
    { fields },
    error,
  );
}

/** Notes who was refused because of who they are, and from where: the log line is the record of it. */
async function noteDenial(ctx: Context): Promise<void> {
  ctx.notes.refusedIp = ctx.request.ip;
  // One lookup per request: the caller is usually known already, or this very lookup is what was refused.
  const caller = await ctx.principal().catch(() => null);
  if (caller !== null) noteCaller(ctx, caller);
}

function noteCaller({ notes }: Context, { userId, sessionId }: Principal): void {
  notes.userId = userId;
  notes.sessionId = sessionId;
}

/** Fails the call whose stream fails at its start. Creating `call.signal` costs, so only streams read it. */
async function withStartedStream<Result extends { ok: boolean; data?: unknown }>(
  result: Result,
  { notes }: Context,
  call: { readonly signal: AbortSignal | undefined },
): Promise<Result | { ok: false; error: unknown }> {
  if (!result.ok || !isAsyncIterable(result.data)) return result;
  try {
    const onFailure = (error: unknown) => noteRefusal(notes, toAppError(error));
    return { ...result, data: await awaitFirstEvent(result.data, call.signal, onFailure) };
  } catch (error) {
    return { ok: false, error };
  }
}

/** Runs the call in its own span. A refusal counts as an answer; only a server-side error (5xx) fails the span. */
async function traced<Result extends { ok: boolean; error?: unknown }>(
  tracer: Tracer,
  path: string,
  next: () => Promise<Result>,
): Promise<Result> {
  const span = tracer.begin(path);
  const result = await span.run(next);
  const refusal = result.ok ? null : toAppError(result.error);
  if (refusal !== null) span.set({ code: refusal.code });
  span.end(refusal !== null && refusal.httpStatus >= 500 ? refusal.code : undefined);
  return result;
}

/** Maps whatever a procedure throws, notes it for the request's log line, and sets Retry-After. */
const errors = t.middleware(async (call) => {
  const { ctx, path, type, next } = call;
  noteProcedure(ctx.notes, path);
  const called = ctx.tracer === null ? next() : traced(ctx.tracer, path, next);
  const result = await withStartedStream(await called, ctx, call);
  if (result.ok) {
    if (type === "mutation") noteCredits(ctx.notes, result.data);
    return result;
  }
  const appError = toAppError(result.error);
  if (isDenial(appError.code)) await noteDenial(ctx);
  noteRefusal(ctx.notes, appError);
  const { retryAfterSeconds } = appError.details;
  if (typeof retryAfterSeconds === "number")
    ctx.reply.setHeader("Retry-After", String(retryAfterSeconds));
  throw asTrpcError(appError);
});

/** Refuses mutations from another origin's page in a browser that has our cookie, even with a token of its own. */
function requireOwnOrigin(ctx: Context, type: "query" | "mutation" | "subscription"): void {
  if (type === "mutation") ctx.services.auth.requireOwnOrigin(ctx.request);
}

/** Returns the `refreshToken` of input that is not validated yet. */
async function bodyToken(getRawInput: () => Promise<unknown>): Promise<string | undefined> {
  // Unreadable input is refused where it is parsed; until then it counts as presenting no token.
  const input = await getRawInput().catch(() => undefined);
  if (typeof input !== "object" || input === null || !("refreshToken" in input)) return undefined;
  return typeof input.refreshToken === "string" ? input.refreshToken : undefined;
}

/** Counts a call of a public procedure: against the user if one is signed in, otherwise against the address. */
async function countPublic(ctx: Context, type: "query" | "mutation" | "subscription") {
  if (ctx.request.bearer === null) return countCall(ctx, "anonymous", ctx.request.ip);
  let user: Principal;
  try {
    user = await ctx.principal();
  } catch (error) {
    // An invalid token must not get a caller past the limit of their address.
    return countUnauthenticated(ctx, error);
  }
  return countCall(ctx, type === "mutation" ? "user" : "userRead", user.userId);
}

/** Whether an error is the server's own fault and so must not count against any client. */
function isOwnFailure(error: unknown): boolean {
  return toAppError(error).httpStatus >= 500;
}

/**
 * Counts by address a call whose token was refused, so that guessing tokens is not free. A call whose token could not
 * be checked is not counted. Throws RATE_LIMITED. A token that has expired or was revoked must once have been ours, so
 * its own refusal is thrown instead: neighbours behind one address must not keep its client from renewing it.
 */
async function countUnauthenticated(ctx: Context, refused: unknown): Promise<void> {
  if (isOwnFailure(refused)) return;
  try {
    await countCall(ctx, "anonymous", ctx.request.ip);
  } catch (limited) {
    const { code } = toAppError(refused);
    throw code === "TOKEN_EXPIRED" || code === "SESSION_REVOKED" ? refused : limited;
  }
}

/**
 * Checks the origin, then counts the call. One that presents a refresh token of ours counts against its session, so
 * that neighbours behind one address cannot keep each other from renewing a sign-in. A logout that presents one is not
 * counted at all, because nothing may keep anyone from ending a sign-in.
 */
const limitedByAddress = t.middleware(async ({ ctx, meta, type, getRawInput, next }) => {
  requireOwnOrigin(ctx, type);
  if (meta?.tier === undefined) {
    await countPublic(ctx, type);
    return next();
  }
  const sessionId =
    meta.tier === "refresh"
      ? ctx.services.auth.refreshSession({
          refreshCookies: ctx.request.refreshCookies,
          bodyToken: await bodyToken(getRawInput),
        })
      : null;
  if (sessionId === null) await countCall(ctx, meta.tier, ctx.request.ip);
  else if (!meta.logout) await countCall(ctx, "session", sessionId);
  return next();
});

/** The signal for calls that are not streams. */
const NEVER = new AbortController().signal;

/** Checks the origin, then counts the call against the user, reads apart from writes. */
const limitedByUser = t.middleware(async (call) => {
  const { ctx, meta, type, next } = call;
  requireOwnOrigin(ctx, type);
  let user: Principal;
  try {
    user = await ctx.principal();
  } catch (error) {
    await countUnauthenticated(ctx, error);
    throw error;
  }
  noteCaller(ctx, user);
  // Logouts have a separate count, so that no other calls can use it up.
  if (meta?.logout) await countCall(ctx, "session", `${user.sessionId}:logout`);
  else await countCall(ctx, type === "mutation" ? "user" : "userRead", user.userId);
  if (meta?.tier) await countCall(ctx, meta.tier, user.userId);
  // Creating `call.signal` costs, so only streams read it.
  const stream =
    type === "subscription" ? authorisedStream(ctx.watchAuthority(), call.signal) : null;
  const result = await next({ ctx: { user, streamSignal: stream?.signal ?? NEVER } });
  if (stream === null) return result;
  if (result.ok && isAsyncIterable(result.data))
    return { ...result, data: stream.guard(result.data) };
  stream.end();
  return result;
});

const serviceKey = t.middleware(async ({ ctx, next }) => {
  let caller: ServiceCaller;
  try {
    caller = ctx.services.service.authenticate(ctx.request.bearer);
  } catch (error) {
    await countCall(ctx, "anonymous", ctx.request.ip);
    throw error;
  }
  ctx.notes.service = caller.name;
  await countCall(ctx, "service", caller.name);
  return next({ ctx: { caller } });
});

export const router = t.router;
export const createCallerFactory = t.createCallerFactory;

/** Open to anyone. Limited by user if one is signed in, otherwise by address. */
export const publicProcedure = t.procedure
  .meta({ access: "public" })
  .use(errors)
  .use(limitedByAddress);

/** Requires a signed-in user, `ctx.user`. Limited by user. A stream's source ends when `ctx.streamSignal` aborts. */
export const userProcedure = t.procedure.meta({ access: "user" }).use(errors).use(limitedByUser);

/** Requires an administrator, `ctx.user`. */
export const adminProcedure = userProcedure.meta({ access: "admin" }).use(({ ctx, next }) => {
  if (ctx.user.role !== "ADMIN")
    throw AppError.of("FORBIDDEN", "This needs an administrator's account.");
  return next();
});

/** Requires an AI worker with a service key, `ctx.caller`. */
export const serviceProcedure = t.procedure.meta({ access: "service" }).use(errors).use(serviceKey);
