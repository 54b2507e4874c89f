// Metrics of the business: sign-ins and money.
import { Counter, type Registry } from "prom-client";
import { SIGN_IN_ERRORS } from "../../shared/src/errors.ts";

/** Registers the counters. Each starts at 0, so that a first event shows as an increase. */
export function measureBusiness(registry: Registry) {
  const signIns = new Counter({
    name: "sign_ins_total",
    help: "Sign-ins that ended, by outcome.",
    labelNames: ["outcome"] as const,
    registers: [registry],
  });
  for (const outcome of ["ok", ...SIGN_IN_ERRORS]) signIns.inc({ outcome }, 0);
  const money = (name: string, help: string) =>
    new Counter({ name, help, labelNames: ["currency"] as const, registers: [registry] });
  const taken = money(
    "money_taken_minor_units_total",
    "Money recorded as paid, in minor units, by currency.",
  );
  const givenBack = money(
    "money_given_back_minor_units_total",
    "Money recorded as refunded, credited or disputed, in minor units, by currency.",
  );
  for (const counter of [taken, givenBack]) counter.inc({ currency: "usd" }, 0);
  return {
    /** A sign-in ended: with `ok`, or with the code in `?error=`. */
    signedIn: (outcome: string) => signIns.inc({ outcome }),
    /** Money was recorded as taken (positive) or given back (negative), in minor units of the currency. */
    money(minorUnits: number, text: string): void {
      const currency = /^[a-z]{3}$/.test(text) ? text : "other";
      // A refund that failed or a dispute that was won counts as money taken again.
      if (minorUnits >= 0) taken.inc({ currency }, minorUnits);
      else givenBack.inc({ currency }, -minorUnits);
    },
  };
}
