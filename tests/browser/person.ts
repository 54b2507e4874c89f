// What a person does on the pages of the reference frontend, and what axe sees there.
import axe from "axe-core";
import type { Page } from "playwright-core";
import { DESKTOP } from "./world.ts";

/** Signs in at the sandbox Google from the sign-in page that is open. */
export async function signInAs(page: Page, email: string): Promise<void> {
  await page.getByRole("button", { name: "Continue with Google" }).click();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByRole("button", { name: "Continue", exact: true }).click();
  await page.getByTestId("available").waitFor();
}

/** Waits until the text of `testId` contains `text`. */
export async function seeIn(page: Page, testId: string, text: string | RegExp): Promise<void> {
  await page.getByTestId(testId).filter({ hasText: text }).first().waitFor();
}

/** Goes to a page by the main navigation. */
export async function goTo(page: Page, place: string): Promise<void> {
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: place }).click();
}

/** Asks on the chat page that is open, as a person who clicks twice. */
export async function ask(page: Page, question: string, model = "Quick chat"): Promise<void> {
  // The radio button itself is drawn by its label.
  await page.getByRole("radio", { name: new RegExp(`^${model}`) }).check({ force: true });
  await page.getByLabel("Your question").fill(question);
  await page.getByRole("button", { name: /^Ask/ }).dblclick();
}

/** Asks for a deck on the slides page that is open. */
export async function makeSlides(page: Page, topic: string, slides: number): Promise<void> {
  await page.getByLabel("What is it about?").fill(topic);
  await page.getByLabel("Slides", { exact: true }).fill(String(slides));
  await page.getByRole("button", { name: /^Make slides/ }).dblclick();
}

/** What axe finds serious or worse on the page, in both colour schemes, on a phone and on a wide screen. */
export async function seriousProblems(page: Page): Promise<string[]> {
  const before = page.viewportSize() ?? DESKTOP;
  const found: string[] = [];
  for (const colorScheme of ["light", "dark"] as const)
    for (const width of [390, 1440]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width, height: 900 });
      // Colours and places of the old size must be gone before they are measured.
      await page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 150))))",
      );
      await page.evaluate(axe.source);
      const violations = (await page.evaluate(
        `axe.run(document).then(({ violations }) => violations
          .filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }) => id + ": " + nodes.map(({ target }) => target.join(" ")).join(", ")))`,
      )) as string[];
      found.push(...violations.map((violation) => `${colorScheme} ${width}: ${violation}`));
    }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  await page.setViewportSize(before);
  return found;
}
