// Owns what AI workers may do on a user's behalf: hold, settle, release and spend credits, under a service key.
import type { z } from "zod";
import type { Feature } from "../../shared/src/features.ts";
import type { serviceContract } from "../../shared/src/service.ts";
import type { Database } from "../backend/database.ts";
import type { PackageSuggestions } from "../credit/credit.service.ts";
import type { Ledger } from "../ledger/operations.ts";

type Input<Name extends keyof typeof serviceContract> = z.output<
  (typeof serviceContract)[Name]["input"]
>;
type Output<Name extends keyof typeof serviceContract> = z.output<
  (typeof serviceContract)[Name]["output"]
>;

/** Which worker is calling. */
export interface ServiceCaller {
  readonly name: string;
}

/** What the service needs. */
export interface ServiceDeps {
  readonly database: Database;
  readonly ledger: Ledger;
  readonly costs: Readonly<Record<Feature, number>>;
  readonly packages: PackageSuggestions;
  readonly serviceKeys: readonly { readonly name: string; readonly key: string }[];
}

/** The `service` procedures' work. */
export interface ServiceService {
  /** The worker whose key this is. Throws UNAUTHENTICATED. */
  authenticate(bearer: string | null): ServiceCaller;
  reserve(caller: ServiceCaller, input: Input<"reserve">): Promise<Output<"reserve">>;
  settle(caller: ServiceCaller, input: Input<"settle">): Promise<Output<"settle">>;
  release(caller: ServiceCaller, input: Input<"release">): Promise<Output<"release">>;
  spend(caller: ServiceCaller, input: Input<"spend">): Promise<Output<"spend">>;
}

/** Makes the service. */
export function createServiceService(_deps: ServiceDeps): ServiceService {
  throw new Error("The service is not written yet.");
}
