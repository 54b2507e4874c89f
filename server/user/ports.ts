// What the user service needs from outside: a store.
import type { UserView } from "../auth/auth.types.ts";

/** What `user.update` may change; `undefined` leaves a field alone. */
export interface ProfileChange {
  name?: string | undefined;
  avatar?: string | null | undefined;
}

/** The rows of one user. Implemented by user.store.ts. */
export interface UserStore {
  /** Null when there is no such user or the user was deleted. */
  find(userId: string): Promise<UserView | null>;
  /** Throws NOT_FOUND. */
  update(userId: string, change: ProfileChange): Promise<UserView>;
  /** Everything stored about the user, without secrets. Null when there is no such user. */
  exportAll(userId: string, signal?: AbortSignal): Promise<Record<string, unknown> | null>;
  /**
   * Erases the person and ends every session, in one transaction; money records stay. Safe to repeat.
   * False while a live subscription or an open checkout stands in the way.
   */
  erase(userId: string, at: Date): Promise<boolean>;
}
