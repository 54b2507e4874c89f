// What a person does on the pages of the reference frontend.
import type { Page } from "playwright-core";

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
  // Its label is what is drawn of a radio button: clicked once it stands still.
  const choice = page.getByRole("radio", { name: new RegExp(`^${model}`) });
  await page.locator("label").filter({ has: choice }).click();
  await page.getByLabel("Your question").fill(question);
  await page.getByRole("button", { name: /^Ask/ }).dblclick();
}

/** Asks for a deck on the slides page that is open. */
export async function makeSlides(page: Page, topic: string, slides: number): Promise<void> {
  await page.getByLabel("What is it about?").fill(topic);
  await page.getByLabel("Slides", { exact: true }).fill(String(slides));
  await page.getByRole("button", { name: /^Make slides/ }).dblclick();
}
