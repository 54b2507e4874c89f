// Several tabs of one browser in a real Chromium: who is signed in, who follows a run. Also: cancelled sign-ins.
import type { BrowserContext, Page, Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { ask, goTo, seeIn, signInAs } from "./person.ts";
import { type BrowserWorld, startBrowserWorld } from "./world.ts";

let world: BrowserWorld;
let person: BrowserContext;
let first: Page;
let second: Page;

beforeAll(async () => {
  world = await startBrowserWorld({ env: { RATE_LIMIT_MAX_REQUESTS: "400" } });
});
beforeEach(async () => {
  person = await world.newPerson();
  first = await person.newPage();
  second = await person.newPage();
  await first.goto(world.webUrl);
});
afterEach(() => person.close());
afterAll(() => world?.close());

/** The e-mail address on the account page. */
const seeAccountOf = (page: Page, email: string) =>
  page.getByRole("main").getByText(email).first().waitFor();

test("a tab whose browser signs in as somebody else is theirs from then on", async () => {
  await second.goto(world.webUrl);
  await signInAs(first, "ada@example.com");
  await goTo(first, "Account");
  await seeAccountOf(first, "ada@example.com");
  await signInAs(second, "bob@example.com");
  await goTo(first, "Activity");
  await goTo(first, "Account");
  await seeAccountOf(first, "bob@example.com");
  expect(await second.getByTestId("available").count()).toBe(1);
});

test("a tab whose renewal brings somebody else's sign-in is theirs from then on", async () => {
  await signInAs(first, "eve@example.com");
  await person.clearCookies();
  await second.goto(world.webUrl);
  await signInAs(second, "fred@example.com");
  // As if the first tab's access token had expired.
  const endToken = (route: Route) =>
    route.continue({ headers: { ...route.request().headers(), authorization: "Bearer ended" } });
  await first.route("**/api/trpc/*credit.history*", endToken, { times: 1 });
  await goTo(first, "Activity");
  await seeIn(first, "entries", "Welcome gift");
  await goTo(first, "Account");
  await seeAccountOf(first, "fred@example.com");
});

test("a sign-in that was ended elsewhere goes on with the newer one of this browser, in every tab", async () => {
  await signInAs(first, "cleo@example.com");
  await person.clearCookies();
  await second.goto(world.webUrl);
  await signInAs(second, "cleo@example.com");
  await goTo(second, "Account");
  await second.getByRole("button", { name: /^Sign out .+ last used/ }).click();
  await second
    .getByRole("button", { name: /^Sign out .+ last used/ })
    .waitFor({ state: "detached" });
  await goTo(first, "Activity");
  await seeIn(first, "entries", "Welcome gift");
  await goTo(second, "Home");
  await seeIn(second, "available", "100");
});

test("a run whose tab is closed is followed by another tab", async () => {
  await signInAs(first, "dora@example.com");
  await second.goto(`${world.webUrl}/chat`);
  await second.getByText("What would you like to know?").waitFor();
  await goTo(first, "Chat");
  await ask(first, "Something long, please");
  await first.getByTestId("answer").getByText("stand-in model").waitFor();
  await first.close();
  await second.getByRole("link", { name: /^Something long/ }).click();
  await seeIn(second, "charge", "1 credit charged · 99 left");
});

test("a page whose first refresh is not answered asks again", async () => {
  await signInAs(first, "eve@example.com");
  let asked = 0;
  await first.route(/auth\.refresh/, async (route) => {
    asked += 1;
    if (asked > 1) await route.continue();
  });
  await first.reload();
  await first.getByTestId("available").waitFor({ timeout: 30_000 });
  expect(asked).toBe(2);
});

test("a departure to Google that is cancelled can be begun anew", async () => {
  // "No content": the browser stays on the page, as after pressing Escape.
  await first.route(/api\/auth\/google/, (route) => route.fulfill({ status: 204 }));
  const google = first.getByRole("button", { name: "Continue with Google" });
  await google.click();
  await first.locator("button.google[aria-busy]").waitFor();
  await first.locator("button.google:not([aria-busy])").waitFor({ timeout: 30_000 });
});
