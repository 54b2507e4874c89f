// Apart from support.ts, which needs the back end of a project: suites that open their own run once, without one.
import { randomUUID } from "node:crypto";

/** A key nobody else uses. */
export const uniqueKey = (): string => `{${randomUUID()}}:key`;
