// Types of administration.
import type { z } from "zod";
import type { adminContract } from "../../shared/src/admin.ts";

type Contract = typeof adminContract;
export type AdminInput<Name extends keyof Contract> = z.output<Contract[Name]["input"]>;
export type AdminOutput<Name extends keyof Contract> = z.output<Contract[Name]["output"]>;

/** One user as administrators see them. */
export type UserLine = AdminOutput<"users">["users"][number];
