// `npm run demo`: the whole story through the typed client, with its own server, sandbox and database.
import { setTimeout as sleep } from "node:timers/promises";
import { answers } from "./answers.ts";
import { buying, runningShort } from "./buying.ts";
import { liveBalance, signingIn, spending, workers } from "./credits.ts";
import { disputing, refunding } from "./money-back.ts";
import { changingPlans, monthsGoBy, subscribing } from "./plan.ts";
import { refreshing, signingOut } from "./sessions.ts";
import { createTranscript, StepFailed, type Transcript } from "./transcript.ts";
import { type DemoWorld, openDemoWorld } from "./world.ts";

const TIME_LIMIT_MS = 120_000;
const CLOSE_LIMIT_MS = 10_000;

/** Tells the story. Each act starts with the balance that the previous one left. */
async function tell(world: DemoWorld, transcript: Transcript): Promise<void> {
  const ada = await signingIn(world, transcript); // 100 credits
  await spending(world, transcript, ada); // 79
  await buying(world, transcript, ada); // 579
  await workers(world, transcript, ada); // 567
  await liveBalance(world, transcript, ada); // 566
  await runningShort(transcript, ada); // 6
  await refreshing(world, transcript, ada);
  await subscribing(world, transcript, ada); // 506
  await monthsGoBy(world, transcript, ada); // 1506
  await changingPlans(world, transcript, ada); // plus the credits of the upgrade
  await answers(world, transcript, ada); // minus 5 for an answer, and a share of 10 for slides
  await refunding(world, transcript, ada); // minus 250
  await disputing(world, transcript, ada); // plus 100
  await signingOut(world, transcript, ada);
  await audit(world, transcript);
}

async function audit(world: DemoWorld, { act, step }: Transcript): Promise<void> {
  act("The doctor looks at every credit");
  await step(
    "audits the whole database",
    () => world.audit(),
    { violations: [] },
    ({ users }) => `sound: ${users} users, every invariant holds`,
  );
}

/** Rejects when the story must stop: it takes too long, a signal arrives, or an error is uncaught. */
function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (error: Error) => () => reject(error);
    setTimeout(
      stop(new Error(`It took longer than ${TIME_LIMIT_MS / 1000} s.`)),
      TIME_LIMIT_MS,
    ).unref();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.once(signal, stop(new Error(`Stopped by ${signal}.`)));
    process.on("uncaughtException", reject);
    process.on("unhandledRejection", reject);
  });
}

const startedAtMs = Date.now();
const transcript = createTranscript();
const serverLog: string[] = [];
const interrupted = interruption();
interrupted.catch(() => undefined);
let world: DemoWorld | undefined;
try {
  const opening = openDemoWorld((line) => serverLog.push(line.trimEnd()));
  world = await Promise.race([opening, interrupted]);
  transcript.say(`\n  Skywork, the whole story\n  ${world.url} · ${world.about}`);
  await Promise.race([tell(world, transcript), interrupted]);
  const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
  transcript.say(`\n  Every step held: ${transcript.held} of them, in ${seconds} s.\n`);
} catch (error) {
  process.exitCode = 1;
  transcript.breakOff();
  const isPlain =
    error instanceof Error && (error.constructor === Error || error.name === "ConfigError");
  const text = error instanceof Error ? (isPlain ? error.message : error.stack) : String(error);
  transcript.say(
    error instanceof StepFailed
      ? `\n  The story is wrong. ${error.message}: this step did not hold, after ${transcript.held} that did.`
      : `\n  The story broke off after ${transcript.held} steps: ${text}`,
  );
  if (serverLog.length > 0)
    transcript.say(`\n  The server said last:\n${serverLog.slice(-5).join("\n")}`);
} finally {
  // Whatever hangs, the process ends, and its exit handler removes the temporary directory.
  await Promise.race([world?.close(), sleep(CLOSE_LIMIT_MS)]).catch((error: unknown) => {
    process.exitCode = 1;
    transcript.say(`  Closing failed: ${String(error)}`);
  });
}
process.exit();
