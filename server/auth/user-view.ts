// Turns a users row into what its user sees.
import type { Role } from "../../shared/src/auth.ts";
import type { UserView } from "./auth.types.ts";

type UserRow = Omit<UserView, "role" | "createdAt"> & { role: string; createdAt: Date };

/** Returns a users row as its user sees it. */
export function toUserView(row: UserRow): UserView {
  const { id, email, name, avatar, credits } = row;
  const createdAt = row.createdAt.toISOString();
  return { id, email, name, avatar, role: toRole(row.role), credits, createdAt };
}

/** Returns a stored role; anything unknown counts as USER. */
export function toRole(stored: string): Role {
  return stored === "ADMIN" ? "ADMIN" : "USER";
}
