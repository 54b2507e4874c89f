// Owns what the service procedures read: whose hold it is.
import type { Database } from "../database/ports.ts";
import type { ServiceStore } from "./workers.service.ts";

/** The store over Prisma. */
export function createServiceStore({ models }: Database): ServiceStore {
  return {
    hold: (holdId) =>
      models.creditHold.findUnique({
        where: { id: holdId },
        select: { userId: true, idempotencyKey: true },
      }),
  };
}
