// The admin area in a real Chromium: administrators search, adjust, refund, disable, replay; others see nothing.
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { goTo, seeIn, signInAs } from "./person.ts";
import { type BrowserWorld, startBrowserWorld } from "./world.ts";
import { deferred } from "../support/deferred.ts";

let world: BrowserWorld;
let customer: BrowserContext;
let customerPage: Page;
let page: Page;

beforeAll(async () => {
  world = await startBrowserWorld({
    env: { RATE_LIMIT_MAX_REQUESTS: "400", ADMIN_EMAILS: "admin@example.com" },
  });
  customer = await world.newPerson();
  customerPage = await customer.newPage();
  await customerPage.goto(world.webUrl);
  await signInAs(customerPage, "customer@example.com");
  await goTo(customerPage, "Credits");
  await customerPage.getByRole("button", { name: "Buy 500 credits for $20.00" }).click();
  await customerPage.getByRole("button", { name: "Pay $20.00" }).click();
  await seeIn(customerPage, "payment-result", "You now have 600.");
  await world.sandbox.stripe.control.idle();
  page = await (await world.newPerson()).newPage();
  await page.goto(world.webUrl);
  await signInAs(page, "admin@example.com");
});
afterAll(() => world?.close());

test("whoever is no administrator has no way in", async () => {
  expect(await customerPage.getByRole("link", { name: "Admin", exact: true }).count()).toBe(0);
  await customerPage.goto(`${world.webUrl}/admin`);
  await customerPage.getByText("This area is for administrators").waitFor();
});

test("the overview counts people and credits, and says when the books were audited", async () => {
  await goTo(page, "Admin");
  await seeIn(page, "standing", "Credits outstanding");
  await seeIn(page, "figures", "$20.00");
  await seeIn(page, "books", /Not audited yet|Audited/);
});

test("a person is found, and given credits once for two clicks, with the reason on record", async () => {
  await page.getByRole("link", { name: "Users" }).click();
  await page.getByLabel("Name, e-mail address or ID").fill("customer@");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByTestId("users").getByRole("link", { name: "Customer" }).click();
  await seeIn(page, "person", "600");
  await expect.poll(() => page.evaluate("document.activeElement.tagName")).toBe("H1");
  await page.getByLabel("Credits", { exact: true }).fill("50");
  await page.getByLabel("Reason").fill("A kind gesture");
  await page.getByRole("button", { name: "Adjust" }).dblclick();
  await page.getByText("The balance is 650 credits").waitFor();
  await seeIn(page, "person", "650");
  await seeIn(page, "audit", "A kind gesture");
  await seeIn(page, "entries", "A kind gesture");
  await seeIn(page, "entries", "+500");
});

test("a part of a payment is refunded once with its share of the credits, though the answer was lost", async () => {
  const dialog = page.getByRole("dialog");
  const refund = async () => {
    await page.getByRole("button", { name: /^Refund/ }).click();
    await dialog.getByLabel("Amount in USD").fill("10.00");
    await dialog.getByRole("button", { name: "Refund" }).click();
  };
  const { promise: mayBeLost, resolve: loseAnswer } = deferred();
  await page.route(/admin\.refundPayment/, async (route) => {
    await route.fetch();
    await mayBeLost;
    await route.abort();
  });
  const asked = page.waitForRequest(/admin\.refundPayment/);
  await refund();
  await asked;
  await page.keyboard.press("Escape");
  loseAnswer();
  await dialog.getByText("We could not reach Skywork").waitFor();
  await page.unroute(/admin\.refundPayment/);
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await refund();
  await dialog.waitFor({ state: "detached" });
  await seeIn(page, "admin-payments", "$10.00 refunded");
  await seeIn(page, "person", "400");
});

test("a disabled person is signed out at once, and let in again when enabled", async () => {
  await customerPage.goto(world.webUrl);
  await customerPage.getByTestId("available").waitFor();
  await page.getByRole("button", { name: "Disable" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
  await page.getByRole("button", { name: "Enable" }).waitFor();
  await customerPage.getByRole("button", { name: "Continue with Google" }).waitFor();
  await page.getByRole("button", { name: "Enable" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Enable" }).click();
  await page.getByRole("button", { name: "Disable" }).waitFor();
});

test("an event of Stripe is shown and processed again without a second effect", async () => {
  await page.getByRole("link", { name: "Stripe events" }).click();
  await seeIn(page, "events", "checkout.session.completed");
  await page
    .getByRole("button", { name: /^Replay checkout.session.completed/ })
    .first()
    .click();
  await page.getByText("Processed again: processed.").waitFor();
});
