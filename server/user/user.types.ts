// Shapes of a person's own account.

/** What `user.update` may change; `undefined` leaves a field alone. */
export interface ProfileChange {
  name?: string | undefined;
  avatar?: string | null | undefined;
}
