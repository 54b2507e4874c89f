// What users may do with their own account: view, change, export and delete it.
import type { Principal, UserView } from "../auth/auth.types.ts";
import { AppError, invalidField, notFound } from "../lib/errors.ts";
import { createBulkhead, type Bulkhead } from "../lib/bulkhead.ts";
import type { Logger } from "../lib/logger.ts";
import { asciiLowerCase } from "../lib/text.ts";
import type { ProfileChange, UserStore } from "./ports.ts";

/** The request that an export answers. */
interface ExportRequest {
  /** Aborts when the client leaves. */
  readonly signal?: AbortSignal | undefined;
  /** Resolves when the response has been sent or the client has left. Never rejects. */
  readonly closed: Promise<void>;
}

/** The caller's own account. */
export interface UserService {
  /** Throws NOT_FOUND. */
  profile(principal: Principal): Promise<{ user: UserView }>;
  /** Throws NOT_FOUND. */
  update(principal: Principal, change: ProfileChange): Promise<{ user: UserView }>;
  /**
   * Returns everything stored about the caller as one JSON document. One export per user until its response has
   * closed, and one is read at a time: throws RATE_LIMITED, SERVICE_UNAVAILABLE, NOT_FOUND.
   */
  export(principal: Principal, request: ExportRequest): Promise<Record<string, unknown>>;
  /**
   * Ends the subscription at Stripe, then erases personal data and ends every session. Safe to repeat after any
   * failure. Throws VALIDATION_FAILED (not the account's e-mail), PAYMENT_PROVIDER_ERROR (nothing erased yet), CONFLICT
   * (a subscription or checkout began meanwhile).
   */
  delete(principal: Principal, input: { confirmEmail: string }): Promise<void>;
}

/** Dependencies of the service. */
interface UserServiceDeps {
  readonly users: UserStore;
  /**
   * Ends the user's live subscription at Stripe immediately, if there is one, and closes open checkouts. Safe to
   * repeat. Throws PAYMENT_PROVIDER_ERROR.
   */
  readonly endSubscription: (userId: string) => Promise<void>;
  /** AuthService.invalidateSessions. */
  readonly invalidateSessions: () => Promise<void>;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** An export reads everything a user has, and is built in memory. */
export const EXPORTS = { concurrency: 1, perKey: 1, maxQueue: 20, maxWaitMs: 10_000 } as const;
/**
 * Documents in memory, including those being sent: one per user, or a client that reads slowly could collect them. The
 * total is not limited, or a few such clients would keep everybody else from an export.
 */
const ANSWERS = { ...EXPORTS, concurrency: Number.POSITIVE_INFINITY };

/** Returns the service; nothing is read until it is used. */
export function createUserService(options: UserServiceDeps): UserService {
  const exports = { reads: createBulkhead(EXPORTS), answers: createBulkhead(ANSWERS) };
  const deps = { ...options, exports };
  return {
    profile: (principal) => readProfile(deps, principal),
    update: async ({ userId }, change) => ({ user: await deps.users.update(userId, change) }),
    export: (principal, request) => exportAccount(deps, principal, request),
    delete: (principal, input) => deleteAccount(deps, principal, input),
  };
}

async function readProfile(
  { users }: Pick<UserServiceDeps, "users">,
  { userId }: Principal,
): Promise<{ user: UserView }> {
  const user = await users.find(userId);
  if (user === null) throw notFound("account");
  return { user };
}

interface ExportDeps extends Pick<UserServiceDeps, "users"> {
  readonly exports: { readonly reads: Bulkhead; readonly answers: Bulkhead };
}

async function exportAccount(
  { users, exports: { reads, answers } }: ExportDeps,
  { userId }: Principal,
  { signal, closed }: ExportRequest,
): Promise<Record<string, unknown>> {
  const document = await new Promise<Record<string, unknown> | null>((resolve, reject) => {
    const read = () => reads.run(userId, () => users.exportAll(userId, signal));
    // Returns the document at once, but keeps the user's place until it has been sent.
    answers
      .run(userId, () =>
        read()
          .then(resolve)
          .then(() => closed),
      )
      .catch(reject);
  });
  if (document === null) throw notFound("account");
  return document;
}

async function deleteAccount(
  deps: UserServiceDeps,
  { userId }: Principal,
  { confirmEmail }: { confirmEmail: string },
): Promise<void> {
  const user = await deps.users.find(userId);
  if (user !== null) {
    if (asciiLowerCase(confirmEmail.trim()) !== asciiLowerCase(user.email)) {
      throw invalidField(
        "confirmEmail",
        "This is not the address of your account.",
        "Type your own e-mail address to confirm.",
      );
    }
    // Stripe first, because a user who is gone here must not be billed there. Both steps may be repeated, so after a
    // failure anywhere the account can simply be deleted again.
    await deps.endSubscription(userId);
    if (!(await deps.users.erase(userId, new Date(deps.now())))) {
      throw AppError.of("CONFLICT", "A purchase has just begun. Please try again.");
    }
    deps.logger.info({ userId }, "account deleted");
  }
  await deps.invalidateSessions();
}
