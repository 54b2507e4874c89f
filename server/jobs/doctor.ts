// The daily audit of the ledger; /ready reports its last result.
import type { AuditReport } from "../ledger/audit/audit.ts";
import type { Logger } from "../lib/logger.ts";
import type { Job } from "./runner.ts";

/** Daily, and ten minutes after a first start. A violation fails the run and is logged, a line each. */
export function doctorJob(deps: {
  readonly audit: (signal: AbortSignal) => Promise<AuditReport>;
  readonly logger: Logger;
}): Job {
  return {
    name: "doctor",
    everySeconds: 86_400,
    maxSeconds: 7_200,
    firstAfterSeconds: 600,
    async run(signal) {
      const { violations, provenNow, provenEarlier } = await deps.audit(signal);
      for (const violation of violations) deps.logger.error({ violation }, "ledger violation");
      if (violations.length > 0) throw new Error(`${violations.length} violations of the ledger`);
      return { violations: 0, provenNow, provenEarlier };
    },
  };
}
