// What the user service needs from outside: a store.
import type { UserView } from "../auth/auth.types.ts";

/** What `user.update` may change; `undefined` leaves a field unchanged. */
export interface ProfileChange {
  name?: string | undefined;
  avatar?: string | null | undefined;
}

/** The rows of one user. Implemented by user.store.ts. */
export interface UserStore {
  /** Returns null if there is no such user or the user was deleted. */
  find(userId: string): Promise<UserView | null>;
  /** Throws NOT_FOUND. */
  update(userId: string, change: ProfileChange): Promise<UserView>;
  /** Returns everything stored about the user, without secrets; null if there is no such user or it was deleted. */
  exportAll(userId: string, signal?: AbortSignal): Promise<Record<string, unknown> | null>;
  /**
   * Erases personal data and ends every session in one transaction; money records are kept. Safe to repeat.
   * Returns false while a live subscription or an open checkout prevents it.
   */
  erase(userId: string, at: Date): Promise<boolean>;
}
