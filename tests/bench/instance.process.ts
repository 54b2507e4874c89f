// One instance in a process of its own: it opens, says "ready", waits for a line, measures, and prints what it measured.
import { once } from "node:events";
import { closedLoop } from "./load.ts";
import { openInstance, type Place, spendOf } from "./world.ts";

/** What to do, as JSON in the first argument. */
export interface InstanceTask {
  readonly place: Place;
  readonly users: readonly string[];
  readonly inFlight: number;
  readonly seconds: number;
}

const task = JSON.parse(process.argv[2] ?? "") as InstanceTask;
const instance = await openInstance(task.place);
const work = () => {
  const user = task.users[Math.floor(Math.random() * task.users.length)] ?? "";
  return instance.ledger.submit(spendOf(user));
};
await closedLoop({ inFlight: task.inFlight, seconds: 0.5, work });
process.stdout.write("ready\n");
await once(process.stdin, "data");
const measured = await closedLoop({ inFlight: task.inFlight, seconds: task.seconds, work });
process.stdout.write(`${JSON.stringify(measured)}\n`);
await instance.close();
process.exit();
