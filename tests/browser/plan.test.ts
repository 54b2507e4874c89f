// The life of a subscriber, and managing the account itself, in a real Chromium.
import { readFile } from "node:fs/promises";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, goTo, seeIn, signInAs } from "./person.ts";
import { type BrowserWorld, startBrowserWorld } from "./world.ts";

let world: BrowserWorld;
let person: BrowserContext;
let page: Page;
beforeAll(async () => {
  world = await startBrowserWorld({ env: { RATE_LIMIT_MAX_REQUESTS: "400" } });
  person = await world.newPerson();
  page = await person.newPage();
  await page.goto(`${world.webUrl}/plan`);
  await page.getByRole("button", { name: "Continue with Google" }).click();
  await page.getByLabel("E-mail address").fill("subscriber@example.com");
  await page.getByRole("button", { name: "Continue", exact: true }).click();
});
afterAll(async () => {
  await person?.close();
  await world?.close();
});

test("a sign-in comes back to the page one wanted, and a plan is subscribed to", async () => {
  await page.getByRole("heading", { level: 1, name: "Plan" }).waitFor();
  await page.getByRole("button", { name: /^Choose Basic/ }).click();
  await page.getByRole("button", { name: "Subscribe" }).click();
  await seeIn(page, "payment-result", "600");
  await page.getByRole("link", { name: "Continue" }).click();
  await seeIn(page, "available", "600");
  await page.getByText("From subscription").waitFor();
});

test("a press whose answer is lost is asked for again and charged once", async () => {
  const keys: string[] = [];
  await page.route(/ai\.start/, async (route) => {
    keys.push(route.request().postData() ?? "");
    // The server does its work, but its first answer never arrives.
    if (keys.length > 1) return route.continue();
    await route.fetch();
    return route.abort();
  });
  await goTo(page, "Chat");
  await ask(page, "What is lost?", "Pro chat");
  await seeIn(page, "charge", "5 credits charged · 595 left");
  await page.unroute(/ai\.start/);
  expect(keys.length).toBe(2);
  expect(keys[1]).toBe(keys[0]);
  await goTo(page, "Home");
  await seeIn(page, "available", "595");
  await seeIn(page, "entries", "−5");
});

test("an upgrade shows what it costs before it is agreed to", async () => {
  await page.getByRole("link", { name: "Plan", exact: true }).click();
  await seeIn(page, "current-plan", "500 credits a month");
  await page.getByRole("button", { name: /^Change to Pro/ }).click();
  await seeIn(page, "plan-preview", "Due today");
  await page.getByRole("button", { name: "Change plan", exact: true }).click();
  await seeIn(page, "current-plan", "1,500 credits a month");
  // The credits come with Stripe's event, possibly later than the plan; a few seconds of the month may have passed.
  await seeIn(page, "pill-credits", /1,59\d/);
});

test("a downgrade waits for the end of the paid period, and is undone for nothing", async () => {
  const credits = await page.getByTestId("pill-credits").textContent();
  await page.getByRole("button", { name: /^Change to Basic/ }).click();
  await seeIn(page, "plan-preview", /Due today\$0\.00/);
  await page.getByRole("button", { name: "Change plan", exact: true }).click();
  const stay = page.getByRole("button", { name: "Stay on Pro" });
  await stay.waitFor();
  await page.reload();
  const renewal = await page
    .getByTestId("current-plan")
    .getByText("Renews on")
    .locator("xpath=following-sibling::dd")
    .textContent();
  await page.getByText(`Basic from ${renewal}`).waitFor();
  await seeIn(page, "current-plan", "1,500 credits a month");
  expect(await page.getByRole("button", { name: /^Change to Basic/ }).count()).toBe(0);
  await stay.click();
  await page.getByRole("button", { name: /^Change to Basic/ }).waitFor();
  expect(await stay.count()).toBe(0);
  await page.reload();
  await page.getByRole("button", { name: /^Change to Basic/ }).waitFor();
  expect(await stay.count()).toBe(0);
  expect(await page.getByTestId("pill-credits").textContent()).toBe(credits);
});

test("a renewal arrives live, without a reload", async () => {
  await page.getByRole("button", { name: "Show invoices" }).click();
  await page.getByTestId("invoices").waitFor();
  const before = await page.getByTestId("pill-credits").textContent();
  world.sandbox.stripe.control.advance({ months: 1, hours: 2 });
  await world.sandbox.stripe.control.idle();
  await page
    .getByTestId("pill-credits")
    .filter({ hasNotText: new RegExp(`^${before}$`) })
    .waitFor();
  await page.getByTestId("invoices").getByText("$19.99").first().waitFor();
});

test("cancelling keeps the plan to its end, and can be taken back", async () => {
  await page.getByRole("button", { name: "Cancel plan" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel plan" }).click();
  await page.getByText("Ends soon").waitFor();
  await expect.poll(() => page.evaluate("document.activeElement.textContent")).toBe("Keep my plan");
  await page.getByRole("button", { name: "Keep my plan" }).click();
  await page.getByRole("button", { name: "Cancel plan" }).waitFor();
});

test("a refused card is told, and mended in the portal", async () => {
  const { control } = world.sandbox.stripe;
  const openPortal = async () => {
    await page.getByRole("button", { name: "Card and billing" }).click();
    await page.waitForURL((url) => url.origin === new URL(world.sandbox.stripe.url).origin);
  };
  const backToPlan = async () => {
    await page.getByRole("link", { name: "Back to the app" }).click();
    await page.getByRole("link", { name: "Plan", exact: true }).click();
  };
  await openPortal();
  await page.getByRole("button", { name: "Use a card that is refused" }).click();
  await backToPlan();
  await seeIn(page, "current-plan", "1,500 credits a month");
  const before = await page.getByTestId("pill-credits").textContent();
  control.advance({ months: 1, hours: 2 });
  await control.idle();
  await page.reload();
  await page.getByText("The last payment did not go through").waitFor();
  expect(await page.getByTestId("pill-credits").textContent()).toBe(before);

  await openPortal();
  await page.getByRole("button", { name: "Use a working card" }).click();
  await page.getByRole("button", { name: "Pay now" }).click();
  await control.idle();
  await backToPlan();
  await page.getByText("Active", { exact: true }).waitFor();
  expect(await page.getByText("The last payment did not go through").count()).toBe(0);
});

test("a plan that was cancelled lapses, and another can be chosen", async () => {
  await page.getByRole("button", { name: "Cancel plan" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel plan" }).click();
  await page.getByText("Ends soon").waitFor();
  world.sandbox.stripe.control.advance({ months: 1, hours: 2 });
  await world.sandbox.stripe.control.idle();
  await page.reload();
  await page.getByRole("heading", { name: "Choose a plan" }).waitFor();
  await page.goto(`${world.webUrl}/account`);
});

test("the profile is saved, and a wrong picture is refused beside its field", async () => {
  await page.getByLabel("Name").fill("Sub Scriber");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  await page.getByLabel(/^Picture/).fill("http://example.com/me.png");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Use an https:// address.").waitFor();
});

test("another device is signed out from here, and shows it at once", async () => {
  const phone = await world.newPerson();
  const phonePage = await phone.newPage();
  await phonePage.goto(world.webUrl);
  await signInAs(phonePage, "subscriber@example.com");
  await page.reload();
  const sessions = page.getByTestId("sessions");
  await sessions.getByText("This device").waitFor();
  await sessions.getByRole("button", { name: /^Sign out Chrome/ }).click();
  await expect.poll(() => sessions.getByRole("listitem").count()).toBe(1);
  await phonePage.getByRole("button", { name: "Continue with Google" }).waitFor();
  await phone.close();
});

test("a copy of the data can be taken, and the account deleted", async () => {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download a copy" }).click(),
  ]);
  expect(await readFile(await download.path(), "utf8")).toContain("subscriber@example.com");
  await page.getByRole("button", { name: "Delete account" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox").fill("somebody@example.com");
  await dialog.getByRole("button", { name: "Delete permanently" }).click();
  await dialog.getByRole("alert").waitFor();
  await dialog.getByRole("textbox").fill("subscriber@example.com");
  await dialog.getByRole("button", { name: "Delete permanently" }).click();
  await page.getByText("Your account has been deleted").waitFor();
  await page.getByRole("button", { name: "Continue with Google" }).waitFor();
  expect(new URL(page.url()).pathname).toBe("/goodbye");
  expect(await page.evaluate("localStorage.length")).toBe(0);
});
