// Shapes of the `service` procedures.
import type { z } from "zod";
import type { serviceContract } from "../../shared/src/service.ts";

export type WorkersInput<Name extends keyof typeof serviceContract> = z.output<
  (typeof serviceContract)[Name]["input"]
>;
export type WorkersOutput<Name extends keyof typeof serviceContract> = z.output<
  (typeof serviceContract)[Name]["output"]
>;

/** Which worker is calling. */
export interface ServiceCaller {
  readonly name: string;
}
