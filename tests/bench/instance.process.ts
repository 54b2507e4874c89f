// One instance in its own process: given a task it opens and says "ready"; started, it answers with its measurements.
import { once } from "node:events";
import { closedLoop } from "./load.ts";
import { openInstance, type Place, spendOf } from "./world.ts";

/** What to do. */
export interface InstanceTask {
  readonly place: Place;
  readonly users: readonly string[];
  readonly inFlight: number;
  readonly seconds: number;
}

const [{ place, users, inFlight, seconds }] = (await once(process, "message")) as [InstanceTask];
const instance = await openInstance(place);
const work = () =>
  instance.ledger.submit(spendOf(users[Math.floor(Math.random() * users.length)] ?? ""));
await closedLoop({ inFlight, seconds: 0.5, work });
process.send?.("ready");
await once(process, "message");
const measured = await closedLoop({ inFlight, seconds, work });
await instance.close();
process.once("disconnect", () => process.exit(0));
process.send?.(measured);
