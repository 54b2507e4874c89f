// axe reports nothing on any page, the sandboxes' included, in light and dark colours, on a phone and on a wide screen.
import axe from "axe-core";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, goTo, makeSlides, seeIn, signInAs } from "./person.ts";
import { type BrowserWorld, startBrowserWorld } from "./world.ts";

let world: BrowserWorld;
let page: Page;

beforeAll(async () => {
  world = await startBrowserWorld({
    env: { RATE_LIMIT_MAX_REQUESTS: "400", ADMIN_EMAILS: "admin@example.com" },
  });
  page = await (await world.newPerson()).newPage();
  await page.emulateMedia({ reducedMotion: "reduce" });
});
afterAll(() => world?.close());

/** Off by default in axe, but voice control only works if the accessible name contains the visible label. */
const EVERY_RULE = { rules: { "label-content-name-mismatch": { enabled: true } } };
/** The rules whose results may differ in the other colour scheme. */
const COLOUR_RULES = { runOnly: ["color-contrast", "link-in-text-block"] };
/** Fetches nothing again, and describes only violations. */
const QUICKLY = { preload: false, resultTypes: ["violations"] };

/** Fails with what axe finds on the page `name`, at both widths in both colour schemes. */
async function inspect(name: string): Promise<void> {
  await expect.poll(() => page.locator(".skeleton").count()).toBe(0);
  await page.evaluate(`window.axe === undefined && ${axe.source}`);
  const found: string[] = [];
  for (const width of [390, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      const rules = colorScheme === "light" ? EVERY_RULE : COLOUR_RULES;
      // After two frames, sizes and colours are up to date.
      const violations = (await page.evaluate(
        `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
          .then(() => axe.run(document, ${JSON.stringify({ ...rules, ...QUICKLY })}))
          .then(({ violations }) => violations.map(({ id, nodes }) =>
            id + ": " + nodes.map(({ target, failureSummary }) => target.join(" ") + " " + failureSummary).join(", ")))`,
      )) as string[];
      found.push(...violations.map((violation) => `${colorScheme} ${width}: ${violation}`));
    }
  }
  expect([name, ...found]).toEqual([name]);
}

/** Goes to an address as if typed into the address bar. */
async function visit(url: string): Promise<void> {
  await page.goto(url);
  await page.getByRole("heading", { level: 1 }).waitFor();
}

test("axe finds nothing wrong with signing in, Google's stand-in, and a sign-in that fails", async () => {
  await visit(world.webUrl);
  await page.getByRole("button", { name: "Continue with Google" }).waitFor();
  await inspect("sign-in");
  await visit(`${world.webUrl}/auth/callback?error=ACCESS_DENIED`);
  await inspect("a sign-in that failed");
  await visit(`${world.sandbox.google.issuer}/interaction/unknown`);
  await inspect("a sign-in that ended at Google");
  await visit(`${world.sandbox.google.issuer}/auth?client_id=unknown`);
  await inspect("a sign-in that Google refuses");
  await visit(world.webUrl);
  await page.getByRole("button", { name: "Continue with Google" }).click();
  await page.getByLabel("E-mail address").waitFor();
  await inspect("Google's account chooser");
  await page.getByRole("button", { name: "Ada Lovelace" }).click();
  await seeIn(page, "available", "100");
  await inspect("home");
});

test("a face is round, whatever the shape of its picture", async () => {
  const wide = `<svg xmlns="http://www.w3.org/2000/svg" width="160" height="40"><rect width="160" height="40"/></svg>`;
  await page.route("https://pictures.example/**", (route) =>
    route.fulfill({ contentType: "image/svg+xml", body: wide }),
  );
  const shapes = () =>
    page.evaluate(`[...document.querySelectorAll(".face, .face img")].map((it) => {
      const { width, height } = it.getBoundingClientRect();
      return it.localName + " " + (width > 0 && width === height);
    })`);
  await goTo(page, "Account");
  await page.getByRole("button", { name: "Save" }).waitFor();
  expect(await shapes()).toEqual(["a true", "span true"]);
  await page.getByLabel(/^Picture/).fill("https://pictures.example/wide.svg");
  await page.getByRole("button", { name: "Save" }).click();
  await expect.poll(shapes).toEqual(["a true", "img true", "span true", "img true"]);
  await inspect("the account with a picture");
});

test("axe finds nothing wrong with a chat: empty, being written, answered, failed, or about to be cleared", async () => {
  const { control } = world.sandbox.model;
  control.setSpeed(Number.POSITIVE_INFINITY);
  await goTo(page, "Chat");
  await inspect("an empty chat");
  await ask(page, "How do I make tea?");
  await seeIn(page, "charge", "1 credit charged");
  control.misbehave({ fault: "error", times: 20 });
  await ask(page, "Will this work?");
  await seeIn(page, "answer", "Nothing was charged");
  control.reset();
  await inspect("a chat with an answer and a failure");
  await page.getByRole("button", { name: "Clear all" }).click();
  await inspect("clearing the conversations");
  await page.keyboard.press("Escape");
  // Slow enough to be inspected while it is being written.
  control.setSpeed(2);
  await ask(page, "What is being written?");
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await inspect("an answer that is being written");
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: /^Ask/ }).waitFor();
  control.setSpeed(Number.POSITIVE_INFINITY);
});

test("axe finds nothing wrong with slides while they are asked for, made, and presented", async () => {
  await goTo(page, "Slides");
  await inspect("asking for slides");
  await makeSlides(page, "Tea and coffee", 3);
  await seeIn(page, "charge-ppt-generate", "10 credits charged");
  await inspect("a deck");
  await page.getByRole("button", { name: "Present" }).click();
  await page.getByTestId("stage").waitFor();
  await inspect("presenting");
  await page.keyboard.press("Escape");
});

test("axe finds nothing wrong with the shop, the checkout, a card that is declined, and the ways back", async () => {
  await goTo(page, "Credits");
  await inspect("credits");
  await page.getByRole("button", { name: "Buy 500 credits for $20.00" }).click();
  await page.getByRole("button", { name: "Pay $20.00" }).waitFor();
  await inspect("the checkout");
  await page.getByText("The card is declined").click();
  await page.getByRole("button", { name: "Pay $20.00" }).click();
  await page.getByText("Your card was declined").waitFor();
  await inspect("a declined card");
  const checkout = page.url().replace(/\/pay$/, "");
  await page.getByText("The payment succeeds").click();
  await page.getByRole("button", { name: "Pay $20.00" }).click();
  await seeIn(page, "payment-result", "500 credits are in your account");
  await inspect("a payment that arrived");
  await visit(checkout);
  await inspect("a checkout that is over");
  await visit(`${checkout}unknown`);
  await inspect("no such checkout");
  await visit(`${world.webUrl}/payment/cancel`);
  await inspect("a payment that was left");
});

test("axe finds nothing wrong with plans, subscribing, changing, cancelling, and the portal", async () => {
  await goTo(page, "Plan");
  await inspect("the plans");
  await page.getByRole("button", { name: /^Choose Pro/ }).click();
  await page.getByRole("button", { name: "Subscribe" }).waitFor();
  await inspect("subscribing");
  await page.getByRole("button", { name: "Subscribe" }).click();
  await page.getByTestId("payment-result").waitFor();
  await goTo(page, "Plan");
  await page.getByRole("button", { name: /^Change to Basic/ }).click();
  await seeIn(page, "plan-preview", "Due today");
  await inspect("what a change costs");
  await page.getByRole("button", { name: "Change plan", exact: true }).click();
  await page.getByRole("button", { name: "Stay on Pro" }).waitFor();
  await page.getByRole("button", { name: "Show invoices" }).click();
  await page.getByTestId("invoices").waitFor();
  await inspect("a plan about to change, and its invoices");
  await page.getByRole("button", { name: "Cancel plan" }).click();
  await inspect("cancelling the plan");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Card and billing" }).click();
  await page.getByRole("button", { name: "Use a card that is refused" }).click();
  await page.getByRole("button", { name: "Use a working card" }).waitFor();
  await inspect("the portal");
  await visit(`${world.sandbox.stripe.url}/p/session/unknown`);
  await inspect("a portal that has expired");
  await visit(world.sandbox.stripe.url);
  await inspect("the sandbox's own page");
});

test("axe finds nothing wrong with activity, the account, its deletion, and addresses that lead nowhere", async () => {
  await visit(`${world.webUrl}/activity`);
  await page.getByText("credits used").waitFor();
  await inspect("activity");
  await goTo(page, "Account");
  await page.getByTestId("sessions").waitFor();
  await inspect("the account");
  await page.getByRole("button", { name: "Delete account" }).click();
  await inspect("deleting the account");
  await page.keyboard.press("Escape");
  await visit(`${world.webUrl}/nowhere`);
  await inspect("no such page");
  await visit(`${world.webUrl}/admin`);
  await inspect("an area for others");
  await goTo(page, "Home");
  await page.getByText("credits used").waitFor();
  await inspect("home with usage");
});

test("axe finds nothing wrong with the admin area and the goodbye", async () => {
  const person = page;
  page = await (await world.newPerson()).newPage();
  await page.emulateMedia({ reducedMotion: "reduce" });
  await page.goto(world.webUrl);
  await signInAs(page, "admin@example.com");
  await goTo(page, "Admin");
  await seeIn(page, "figures", "$39.99");
  await inspect("the overview");
  await page.getByRole("link", { name: "Users" }).click();
  await page.getByLabel("Name, e-mail address or ID").fill("ada");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByTestId("users").waitFor();
  await inspect("people");
  await page.getByTestId("users").getByRole("link").first().click();
  await page.getByTestId("entries").waitFor();
  await inspect("a person");
  await page
    .getByRole("button", { name: /^Refund/ })
    .first()
    .click();
  await inspect("a refund");
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: "Stripe events" }).click();
  await page.getByTestId("events").waitFor();
  await inspect("events");
  page = person;
  await goTo(page, "Account");
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("button", { name: "Continue with Google" }).waitFor();
  await visit(`${world.webUrl}/goodbye`);
  await inspect("goodbye");
});
