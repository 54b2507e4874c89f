// One life of a simulated process and its way to the outside: every crossing takes time, and may be its last.
import type { Boundary, Faults } from "./faults.ts";
import { type Process, ProcessDied, type Scheduler, silence } from "./scheduler.ts";
import type { Trace } from "./trace.ts";
import { deferred } from "../support/deferred.ts";

/** What every part of the simulation shares. */
export interface Stage {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly trace: Trace;
}

/** A process between its start and its death. */
export interface Life extends Process {
  /**
   * Goes on when something outside was reached or has answered. A process that dies here, or has died meanwhile, hears
   * nothing more; inside a transaction it gets ProcessDied, as the transaction has to be rolled back.
   */
  cross(boundary: Boundary, what: string, inTransaction?: boolean): Promise<void>;
  /** Resolves when it dies. */
  readonly death: Promise<void>;
  die(): void;
}

/** A new process. */
export function createLife(stage: Stage, name: string, onDeath: () => void): Life {
  const { scheduler, faults, trace } = stage;
  const { promise: death, resolve: heard } = deferred();
  const life: Life = {
    name,
    alive: true,
    death,
    die: () => {
      if (!life.alive) return;
      trace.add(scheduler.nowMs, `${name} DIES`);
      scheduler.kill(life);
      heard();
      onDeath();
    },
    cross: async (boundary, what, inTransaction = false) => {
      await scheduler.wait(faults.latencyMs(boundary), life, inTransaction);
      trace.add(scheduler.nowMs, `${name} ${what}`);
      if (!faults.dies()) return;
      life.die();
      if (inTransaction) throw new ProcessDied(name);
      await silence();
    },
  };
  return life;
}
