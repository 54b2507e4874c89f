// From a users row to what people see of it.
import type { Role } from "../../shared/src/auth.ts";
import type { UserView } from "./auth.types.ts";

type UserRow = Omit<UserView, "role" | "createdAt"> & { role: string; createdAt: Date };

/** A users row as its owner sees it. */
export function toUserView(row: UserRow): UserView {
  const { id, email, name, avatar, credits } = row;
  const createdAt = row.createdAt.toISOString();
  return { id, email, name, avatar, role: toRole(row.role), credits, createdAt };
}

/** A stored role; anything unknown has no power. */
export function toRole(stored: string): Role {
  return stored === "ADMIN" ? "ADMIN" : "USER";
}
