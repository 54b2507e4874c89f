// The way of events from Stripe to a server: some are told twice, late, under another id, or never; what is not
// taken is told again for three days.
import type { LoggedEvent } from "../../server/sandbox/src/stripe/events/events.ts";
import type { Stage } from "./process.ts";
import type { Answer, SimulatedServer } from "./server.ts";
import type { Store } from "./store.ts";
import type { SimulatedStripe } from "./stripe.ts";

/** What the network needs of the world around it. */
interface NetworkDeps extends Pick<Stage, "scheduler" | "faults"> {
  readonly store: Store;
  readonly stripe: SimulatedStripe;
  ask<T>(what: string, work: (server: SimulatedServer) => Promise<T>): Promise<Answer<T>>;
  launch(work: () => Promise<void>): void;
  broke(what: string): void;
  note(line: string): void;
}

/** Telling of events. */
export type Network = ReturnType<typeof createNetwork>;

/** The events the README tells an operator to send. */
const WANTED =
  /^(checkout\.session|customer\.subscription|subscription_schedule|invoice|credit_note|charge\.dispute|refund)\.|^charge\.refunded$/;
const RETRY_MS = [60_000, 600_000, 3_600_000, 6 * 3_600_000, 24 * 3_600_000, 40 * 3_600_000];
/** No server waits longer before it asks by itself. */
const OVERDUE_MS = 86_400_000;

/** A network that tells `world`'s servers. */
export function createNetwork(world: NetworkDeps) {
  const { scheduler, faults, store } = world;
  /** When each event that nobody has taken was announced. */
  const untold = new Map<string, number>();
  let behind = false;
  let copies = 0;

  function tell(event: LoggedEvent, id: string, delayMs: number, attempt: number): void {
    scheduler.after(delayMs, null, () => {
      world.launch(async () => {
        if (await deliver(event, id)) {
          untold.delete(event.id);
          return;
        }
        behind = true;
        const pauseMs = RETRY_MS[attempt];
        if (pauseMs !== undefined) tell(event, id, pauseMs, attempt + 1);
      });
    });
  }

  /** True: a server has answered 200. */
  async function deliver(event: LoggedEvent, id: string): Promise<boolean> {
    const signed = world.stripe.sign(event, id);
    const answer = await world.ask(`event ${id} ${event.type} ${event.objectId}`, (server) =>
      server.payment.receiveEvent(signed.body, signed.signature),
    );
    if (answer.kind !== "done") return false;
    const { outcome } = answer.value;
    if (outcome === "retry") return false;
    if (outcome === "refused") {
      world.broke(`an honest event was refused: ${answer.value.reason}`);
      return true;
    }
    const [row] = store.rows<{ status: string }>(
      "SELECT status FROM stripe_events WHERE id = ?",
      id,
    );
    if (row?.status !== "PROCESSED" && row?.status !== "IGNORED")
      world.broke(`event ${id} was taken (${outcome}) and is ${row?.status ?? "not stored"}`);
    return true;
  }

  return {
    /** A new event. */
    announce: (event: LoggedEvent) => {
      if (!WANTED.test(event.type)) return;
      untold.set(event.id, scheduler.nowMs);
      const tellings = faults.tellings();
      if (tellings.length === 0) {
        world.note(`event ${event.id} ${event.type} is lost`);
        behind = true;
      }
      for (const { delayMs, secondId } of tellings) {
        if (delayMs > OVERDUE_MS) behind = true;
        copies += 1;
        tell(event, secondId ? `${event.id}_${copies}` : event.id, delayMs, 0);
      }
    },
    /** Events no server has taken yet, and has not asked for either. */
    get untold() {
      return untold.size;
    },
    /** Whether events are overdue that the servers were never told of, or did not take. */
    get behind() {
      return behind;
    },
    /** The servers have asked for everything that had happened by then. */
    caughtUp: (byMs: number) => {
      behind = false;
      for (const [id, announcedMs] of untold) if (announcedMs <= byMs) untold.delete(id);
    },
  };
}
