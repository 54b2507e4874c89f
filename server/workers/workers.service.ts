// What AI workers may do on a user's behalf: hold, settle, release and spend credits, under a service key.
import { type HoldDeps, release, reserve, settle, spendFor } from "./holds.ts";
import { createAuthenticate } from "./service-keys.ts";
import type { ServiceCaller, WorkersInput, WorkersOutput } from "./workers.types.ts";

/** Dependencies of the service. */
export interface WorkersDeps extends HoldDeps {
  readonly serviceKeys: readonly { readonly name: string; readonly key: string }[];
}

/** The logic behind the `service` procedures. */
export interface WorkersService {
  /** Returns the worker to which the key belongs. Throws UNAUTHENTICATED. */
  authenticate(bearer: string | null): ServiceCaller;
  /** Throws INSUFFICIENT_CREDITS, IDEMPOTENCY_CONFLICT, NOT_FOUND (no such user), FORBIDDEN (disabled user). */
  reserve(caller: ServiceCaller, input: WorkersInput<"reserve">): Promise<WorkersOutput<"reserve">>;
  /** Throws HOLD_NOT_ACTIVE, NOT_FOUND (no such hold of this worker), VALIDATION_FAILED (more than is held). */
  settle(caller: ServiceCaller, input: WorkersInput<"settle">): Promise<WorkersOutput<"settle">>;
  /** Throws HOLD_NOT_ACTIVE, NOT_FOUND. */
  release(caller: ServiceCaller, input: WorkersInput<"release">): Promise<WorkersOutput<"release">>;
  /** Throws as `reserve` does. */
  spend(caller: ServiceCaller, input: WorkersInput<"spend">): Promise<WorkersOutput<"spend">>;
}

/** Returns the service; nothing is read until it is used. */
export function createWorkersService(deps: WorkersDeps): WorkersService {
  return {
    authenticate: createAuthenticate(deps.serviceKeys),
    reserve: (caller, input) => reserve(deps, caller, input),
    settle: (caller, input) => settle(deps, caller, input),
    release: (caller, input) => release(deps, caller, input),
    spend: (caller, input) => spendFor(deps, caller, input),
  };
}
