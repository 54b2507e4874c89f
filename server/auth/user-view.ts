// From a users row to what people see of it.
import type { Role } from "../../shared/src/auth.ts";
import type { UserView } from "./auth.types.ts";

/** A users row as its owner sees it. */
export function toUserView(row: {
  id: string;
  email: string;
  name: string | null;
  avatar: string | null;
  role: string;
  credits: number;
  createdAt: Date;
}): UserView {
  const { id, email, name, avatar, credits } = row;
  return {
    id,
    email,
    name,
    avatar,
    role: toRole(row.role),
    credits,
    createdAt: row.createdAt.toISOString(),
  };
}

/** A stored role; anything unknown has no power. */
export function toRole(stored: string): Role {
  return stored === "ADMIN" ? "ADMIN" : "USER";
}
