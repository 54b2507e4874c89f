// Looks up the owner of a hold.
import type { Database } from "../database/ports.ts";
import type { WorkersStore } from "./ports.ts";

/** Creates the store over Prisma. */
export function createWorkersStore({ models }: Database): WorkersStore {
  return {
    hold: (holdId) =>
      models.creditHold.findUnique({
        where: { id: holdId },
        select: { userId: true, idempotencyKey: true },
      }),
  };
}
