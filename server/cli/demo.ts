// Owns `npm run demo`: the whole story through the typed client against a fresh server; exit code 0 only if all of it held.
import { runDoctor } from "../ledger/doctor.ts";
import { creditChapters } from "./demo-credits.ts";
import { planChapters } from "./demo-plans.ts";
import { BrokenStep, check, createStory } from "./demo-story.ts";
import { type DemoWorld, startDemoWorld } from "./demo-world.ts";

async function tell(world: DemoWorld, startedAtMs: number): Promise<void> {
  const story = createStory();
  process.stdout.write(`Skywork at ${world.url} (${world.where}), Google and Stripe: sandbox\n`);
  const ada = await creditChapters(world, story);
  await planChapters(world, story, ada);
  story.chapter("The doctor");
  await story.step("Every invariant of the ledger holds", async (say) => {
    let users = 0;
    const violations = await runDoctor({
      database: world.database,
      onProgress: (progress) => {
        users = progress.users;
      },
    });
    check("violations", [], violations);
    say(`${users} users, every entry, lot and hold`);
  });
  const seconds = ((Date.now() - startedAtMs) / 1000).toFixed(1);
  process.stdout.write(`\n${story.steps()} steps, all of them held, in ${seconds} s.\n`);
}

const startedAtMs = Date.now();
let exitCode = 0;
try {
  const world = await startDemoWorld(process.env);
  try {
    await tell(world, startedAtMs);
  } finally {
    await world.close();
  }
} catch (error) {
  exitCode = 1;
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`\nThe demo FAILED. ${text}\n`);
  if (error instanceof Error && !(error instanceof BrokenStep) && error.cause instanceof Error)
    process.stderr.write(`${error.cause.stack}\n`);
}
process.exit(exitCode);
