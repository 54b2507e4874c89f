// `npm run picture:write`: records docs/images/first-minute.gif, the README's animation, from the real frontend. Needs
// Chromium, as the browser tests do, and ffmpeg.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { setup as buildFrontend } from "./frontend.ts";
import { ask, goTo, seeIn } from "./person.ts";
import { startBrowserWorld } from "./world.ts";

const FILE = join(import.meta.dirname, "../../docs/images/first-minute.gif");
const WIDTH = 840;
const MAX_BYTES = 2_000_000;
/** Size of the palette: small, to keep the file small. */
const COLOURS = 96;
const MOST_FRAMES = 150;
const GLANCE_SECONDS = 0.15;
const LOOK_SECONDS = 1.4;
const LONG_LOOK_SECONDS = 2.4;

const folder = mkdtempSync(join(tmpdir(), "skywork-picture-"));
const frames: string[] = [];

/** Takes a picture that is shown for that long. */
async function show(page: Page, seconds: number): Promise<void> {
  const name = `${String(frames.length).padStart(3, "0")}.png`;
  await page.screenshot({ path: join(folder, name) });
  frames.push(`file '${name}'\nduration ${seconds}`);
}

/** Takes pictures until `isOver`. */
async function film(page: Page, isOver: () => Promise<boolean>): Promise<void> {
  for (let taken = 0; !(await isOver()); taken += 1) {
    if (taken === MOST_FRAMES) throw new Error("What was filmed does not end.");
    await show(page, GLANCE_SECONDS);
  }
}

const removeFrontend = await buildFrontend();
const world = await startBrowserWorld();
try {
  world.sandbox.model.control.setSpeed(120);
  const page = await (await world.newPerson({ width: 1100, height: 760 })).newPage();
  await page.goto(world.webUrl);
  await page.getByRole("button", { name: "Continue with Google" }).waitFor();
  await show(page, LOOK_SECONDS);
  await page.getByRole("button", { name: "Continue with Google" }).click();
  await page.getByLabel("E-mail address").fill("ada@example.com");
  await show(page, LOOK_SECONDS);
  await page.getByRole("button", { name: "Continue", exact: true }).click();
  await seeIn(page, "available", "100");
  await page.getByText("Welcome gift").first().waitFor();
  await show(page, LONG_LOOK_SECONDS);
  await goTo(page, "Chat");
  await ask(page, "Why is the sky blue?", "Pro chat");
  const charge = page.getByTestId("charge").filter({ hasText: /charged/ });
  await film(page, async () => (await charge.count()) > 0);
  await show(page, LONG_LOOK_SECONDS);
  await goTo(page, "Credits");
  await page.getByRole("button", { name: "Buy 500 credits for $20.00" }).waitFor();
  await show(page, LOOK_SECONDS);
  await page.getByRole("button", { name: "Buy 500 credits for $20.00" }).click();
  await page.getByRole("button", { name: "Pay $20.00" }).waitFor();
  await show(page, LOOK_SECONDS);
  await page.getByRole("button", { name: "Pay $20.00" }).click();
  await seeIn(page, "payment-result", "You now have");
  await show(page, LONG_LOOK_SECONDS);
  const list = join(folder, "frames.txt");
  writeFileSync(list, frames.join("\n"));
  const filter = `scale=${WIDTH}:-1:flags=lanczos,split[a][b];[a]palettegen=max_colors=${COLOURS}[p];[b][p]paletteuse=dither=none:diff_mode=rectangle`;
  const input = ["-f", "concat", "-safe", "0", "-i", list];
  const output = ["-vf", filter, "-loop", "0", FILE];
  execFileSync("ffmpeg", ["-y", "-loglevel", "error", ...input, ...output]);
  const { size } = statSync(FILE);
  if (size > MAX_BYTES) throw new Error(`${FILE} has ${size} bytes, more than ${MAX_BYTES}.`);
  console.log(`${FILE}: ${frames.length} pictures, ${Math.round(size / 1000)} kB`);
} finally {
  await world.close();
  removeFrontend();
  rmSync(folder, { recursive: true, force: true });
}
