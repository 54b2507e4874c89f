// Observes the calls of a port from outside: neither the port nor its callers notice.
import type { ModelPort } from "../ai/ports.ts";
import { SignInFailure } from "../auth/sign-in/sign-in-error.ts";
import { isAppError } from "../lib/errors.ts";
import { refusalOf } from "../payment/stripe/errors.ts";

/** Called when a call ends; `error` is what it failed with, or null. */
export type CallObserver = (call: {
  readonly name: string;
  readonly error: unknown;
  readonly seconds: number;
}) => void;

/** Returns `port` with every method that returns a promise observed. Synchronous methods pass through. */
export function observeCalls<Port extends object>(port: Port, observe: CallObserver): Port {
  return wrapMethods(port, (name, call) => {
    const startedAtMs = performance.now();
    const end = (error: unknown) =>
      observe({ name, error, seconds: (performance.now() - startedAtMs) / 1000 });
    const answer = call();
    if (answer instanceof Promise) answer.then(() => end(null), end);
    return answer;
  });
}

type AnyFunction = (...args: unknown[]) => unknown;

/** Returns `port` with every method wrapped in `around`, which has to return what `call` returns. */
export function wrapMethods<Port extends object>(
  port: Port,
  around: (name: string, call: () => unknown) => unknown,
): Port {
  const wrapped: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(port) as [string, unknown][]) {
    const method = member as AnyFunction;
    wrapped[name] =
      typeof member === "function"
        ? (...args: unknown[]) => around(name, () => method(...args))
        : member;
  }
  return wrapped as Port;
}

/** Returns the model, observed: a call ends with its last piece, or with the error that cut it off. */
export function observeModel(model: ModelPort, observe: CallObserver): ModelPort {
  return {
    async *stream(request) {
      const startedAtMs = performance.now();
      let end: unknown = STOPPED;
      try {
        yield* model.stream(request);
        end = null;
      } catch (error) {
        if (!request.signal.aborted) end = error;
        throw error;
      } finally {
        observe({ name: "stream", error: end, seconds: (performance.now() - startedAtMs) / 1000 });
      }
    },
  };
}

/** The reader wanted no more, which is nobody's failure. */
const STOPPED = Symbol("stopped");

/** Returns one word for how a call ended: a label with few values, whatever the error says. */
export function outcomeOf(error: unknown): string {
  if (error === null) return "ok";
  if (error === STOPPED) return "stopped";
  const refusal = refusalOf(error)?.refusal;
  if (refusal !== undefined) return refusal;
  if (error instanceof SignInFailure) return error.code;
  // The model adapter's own words: `silent`, `unreachable`, `status 429`.
  if (isAppError(error, "AI_PROVIDER_ERROR") && typeof error.cause === "string")
    return error.cause.replaceAll(" ", "_");
  return "failed";
}
