// What the workers service needs from outside: a store of holds.

/** Holds as the service reads them. Implemented by workers.store.ts. */
export interface WorkersStore {
  /** Returns whose hold it is and the key it was reserved under; null when there is none. */
  hold(holdId: string): Promise<{ userId: string; idempotencyKey: string | null } | null>;
}
