// Shapes of administration.
import type { z } from "zod";
import type { adminContract } from "../../shared/src/admin.ts";

export type AdminInput<Name extends keyof typeof adminContract> = z.output<
  (typeof adminContract)[Name]["input"]
>;
export type AdminOutput<Name extends keyof typeof adminContract> = z.output<
  (typeof adminContract)[Name]["output"]
>;

/** One user as administrators see them. */
export type UserLine = AdminOutput<"users">["users"][number];
