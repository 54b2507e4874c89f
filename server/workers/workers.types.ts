// Types for the `service` procedures.
import type { z } from "zod";
import type { serviceContract } from "../../shared/src/service.ts";

type Contract = typeof serviceContract;
export type WorkersInput<Name extends keyof Contract> = z.output<Contract[Name]["input"]>;
export type WorkersOutput<Name extends keyof Contract> = z.output<Contract[Name]["output"]>;

/** The worker that is calling. */
export interface ServiceCaller {
  readonly name: string;
}
