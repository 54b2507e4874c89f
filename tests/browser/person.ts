// What a person does on the pages of the reference frontend.
import type { Page } from "playwright-core";

/** Signs in at the sandbox Google, starting from the open sign-in page. */
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

/** Goes to a page through the main navigation. */
export async function goTo(page: Page, place: string): Promise<void> {
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: place }).click();
}

/** Asks on the open chat page, as a person who double-clicks. */
export async function ask(page: Page, question: string, model = "Quick chat"): Promise<void> {
  // A radio button is displayed as its label, and that is what has to be clicked.
  const choice = page.getByRole("radio", { name: new RegExp(`^${model}`) });
  await page.locator("label").filter({ has: choice }).click();
  await page.getByLabel("Your question").fill(question);
  await page.getByRole("button", { name: /^Ask/ }).dblclick();
}

/** Requests a deck on the open slides page. */
export async function makeSlides(page: Page, topic: string, slides: number): Promise<void> {
  await page.getByLabel("What is it about?").fill(topic);
  await page.getByLabel("Slides", { exact: true }).fill(String(slides));
  await page.getByRole("button", { name: /^Make slides/ }).dblclick();
}
