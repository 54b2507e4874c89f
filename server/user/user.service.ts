// Owns what a person may do with their own account: see it, change it, take it along, leave.
import type { Principal, UserView } from "../auth/auth.types.ts";
import { AppError } from "../lib/errors.ts";
import { createGate } from "../lib/gate.ts";
import type { Logger } from "../lib/logger.ts";
import { asciiLowerCase } from "../lib/text.ts";

/** Rows of the user's own, as the database keeps them. */
export interface UserStore {
  /** Null when there is no such user or the user was deleted. */
  find(userId: string): Promise<UserView | null>;
  /** Throws NOT_FOUND. */
  update(userId: string, change: ProfileChange): Promise<UserView>;
  /** Everything stored about the user, without secrets. Null when there is no such user. */
  exportAll(userId: string, signal?: AbortSignal): Promise<Record<string, unknown> | null>;
  /**
   * Erases the person and ends every session, in one transaction; money records stay. Safe to repeat.
   * False while a live subscription stands in the way.
   */
  erase(userId: string, at: Date): Promise<boolean>;
}

/** What `user.update` may change; `undefined` leaves a field alone. */
export interface ProfileChange {
  name?: string | undefined;
  avatar?: string | null | undefined;
}

/** The caller's own account. */
export interface UserService {
  /** Throws NOT_FOUND. */
  profile(principal: Principal): Promise<{ user: UserView }>;
  /** Throws NOT_FOUND. */
  update(principal: Principal, change: ProfileChange): Promise<{ user: UserView }>;
  /**
   * Everything stored about the caller, one JSON document. One at a time per user and few per server: throws
   * RATE_LIMITED, SERVICE_UNAVAILABLE. Stops reading when `signal` aborts.
   */
  export(principal: Principal, signal?: AbortSignal): Promise<Record<string, unknown>>;
  /**
   * Ends the subscription at Stripe, then erases the person and every session. Safe to repeat after any failure.
   * Throws VALIDATION_FAILED (another e-mail), PAYMENT_PROVIDER_ERROR (nothing erased yet), CONFLICT (a subscription
   * began meanwhile).
   */
  delete(principal: Principal, input: { confirmEmail: string }): Promise<void>;
}

/** What the service is made of. */
export interface UserServiceDeps {
  readonly users: UserStore;
  /**
   * Ends the user's live subscription at Stripe at once, and closes open checkouts. Safe to repeat; nothing to end is
   * no error. Throws PAYMENT_PROVIDER_ERROR.
   */
  readonly endSubscription: (userId: string) => Promise<void>;
  /** AuthService.invalidateSessions. */
  readonly invalidateSessions: () => Promise<void>;
  readonly logger: Logger;
  readonly now?: () => number;
}

/** An export reads everything a person has: two of them leave the database to everybody else. */
export const EXPORTS = { atOnce: 2, perKey: 1, maxWaiting: 20, maxWaitMs: 10_000 } as const;

const gone = () => AppError.of("NOT_FOUND", "There is no such account.");

/** Makes the service. */
export function createUserService(deps: UserServiceDeps): UserService {
  const now = deps.now ?? Date.now;
  const exports = createGate(EXPORTS);
  const find = async (userId: string): Promise<UserView> => {
    const user = await deps.users.find(userId);
    if (user === null) throw gone();
    return user;
  };
  return {
    profile: async (principal) => ({ user: await find(principal.userId) }),
    update: async (principal, change) => ({
      user: await deps.users.update(principal.userId, change),
    }),
    async export({ userId }, signal) {
      const document = await exports.run(userId, () => deps.users.exportAll(userId, signal));
      if (document === null) throw gone();
      return document;
    },
    async delete(principal, input) {
      const user = await deps.users.find(principal.userId);
      if (user !== null) {
        if (asciiLowerCase(input.confirmEmail.trim()) !== asciiLowerCase(user.email)) {
          throw AppError.of("VALIDATION_FAILED", "Type your own e-mail address to confirm.", {
            fields: { confirmEmail: ["This is not the address of your account."] },
          });
        }
        // Stripe first: a person who is gone here must not be billed there. Both steps may be repeated,
        // so a failure anywhere leaves an account that can simply be deleted again.
        await deps.endSubscription(principal.userId);
        if (!(await deps.users.erase(principal.userId, new Date(now())))) {
          throw AppError.of("CONFLICT", "A subscription has just begun. Please try again.");
        }
        deps.logger.info({ userId: principal.userId }, "account deleted");
      }
      await deps.invalidateSessions();
    },
  };
}
