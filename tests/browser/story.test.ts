// A newcomer's story in a real Chromium, under the usual limit of 100 calls: all of it on a desktop, and on a phone the
// parts that may look different there.
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, goTo, makeSlides, seeIn, signInAs } from "./person.ts";
import { type BrowserWorld, DESKTOP, PHONE, startBrowserWorld } from "./world.ts";
import { bearer } from "../support/wire-call.ts";

let world: BrowserWorld;
beforeAll(async () => {
  world = await startBrowserWorld();
});
afterAll(() => world?.close());

/** The id of the signed-in person, obtained with the page's own cookie. */
async function userIdOf(page: Page): Promise<string> {
  const access = await page.request.post(`${world.apiUrl}/api/auth/refresh`, {
    headers: { origin: world.webUrl },
    data: {},
  });
  const { accessToken } = (await access.json()) as { accessToken: string };
  const me = await page.request.get(`${world.apiUrl}/api/auth/me`, {
    headers: bearer(accessToken),
  });
  return ((await me.json()) as { user: { id: string } }).user.id;
}

/** Collects everything a page complains about: script errors, blocked styles, failed calls. */
function complaintsOf(person: BrowserContext): string[] {
  const complaints: string[] = [];
  person.on("page", (page) => {
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      // The API's refusals are part of the story; the console shows them with their status.
      if (message.type() === "error" && !/status of 40[129]/.test(message.text()))
        complaints.push(message.text());
    });
  });
  return complaints;
}

async function overflow(page: Page): Promise<number> {
  return page.evaluate(
    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
  );
}

describe.each([
  ["a desktop", DESKTOP],
  ["a phone", PHONE],
] as const)("on %s", (device, viewport) => {
  let person: BrowserContext;
  let page: Page;
  let complaints: string[];
  const email = `newcomer.${device.replace("a ", "")}@example.com`;
  // What does not depend on the width is tested only once.
  const isDesktop = viewport === DESKTOP;

  beforeAll(async () => {
    person = await world.newPerson(viewport);
    complaints = complaintsOf(person);
    page = await person.newPage();
  });
  afterAll(() => person?.close());

  test("signs in through the sandbox and has 100 credits", async () => {
    await page.goto(world.webUrl);
    await page.getByText("No Google account is needed").waitFor();
    await signInAs(page, email);
    await seeIn(page, "available", "100");
    await seeIn(page, "entries", "Welcome gift");
    expect(new URL(page.url()).pathname + new URL(page.url()).search).toBe("/");
    expect(await page.evaluate("localStorage.length + sessionStorage.length")).toBe(0);
  });

  test("asks, makes slides and changes them, each charged once", async () => {
    world.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
    await goTo(page, "Chat");
    await ask(page, "How do I make tea?");
    await seeIn(page, "charge", "1 credit charged · 99 left");
    await ask(page, "And coffee?", "Pro chat");
    await seeIn(page, "charge", "5 credits charged · 94 left");
    expect(await overflow(page)).toBe(0);
    await goTo(page, "Slides");
    await makeSlides(page, "Tea and coffee", 3);
    await seeIn(page, "charge-ppt-generate", "10 credits charged · 84 left");
    await page.getByLabel("What should change?").fill("Shorter");
    await page.getByRole("button", { name: /^Change slides/ }).dblclick();
    await seeIn(page, "charge-ppt-edit", "5 credits charged · 79 left");
    await seeIn(page, "pill-credits", "79");
    expect(await overflow(page)).toBe(0);
    await goTo(page, "Home");
    await seeIn(page, "available", "79");
    // The chart reflects the usage without a reload.
    await page.getByText("21 credits used").waitFor();
  });

  test("buys 500, pressing pay twice, and sees them arrive once", async () => {
    await page
      .getByRole("navigation", { name: "Main" })
      .getByRole("link", { name: "Credits" })
      .click();
    await page.getByRole("button", { name: "Buy 500 credits for $20.00" }).click();
    await page.getByRole("button", { name: "Pay $20.00" }).dblclick();
    await seeIn(page, "payment-result", "500 credits are in your account. You now have 579.");
    await page.reload();
    await seeIn(page, "payment-result", "You now have 579.");
    await page.getByRole("link", { name: "Your payments" }).click();
    await seeIn(page, "payments", "$20.00");
    expect(await page.getByTestId("payments").getByRole("listitem").count()).toBe(1);
    expect(await overflow(page)).toBe(0);
  });

  test.runIf(isDesktop)(
    "stays signed in over a reload, in two tabs that refresh at once",
    async () => {
      await page.goto(world.webUrl);
      await seeIn(page, "available", "579");
      const second = await person.newPage();
      await second.goto(world.webUrl);
      await seeIn(second, "available", "579");
      for (let round = 0; round < 2; round += 1) {
        await Promise.all([page.reload(), second.reload()]);
        await Promise.all([seeIn(page, "available", "579"), seeIn(second, "available", "579")]);
      }
      await second.close();
    },
  );

  test.runIf(isDesktop)(
    "is refused with a helpful message when short, in both tabs live",
    async () => {
      const second = await person.newPage();
      await second.goto(`${world.webUrl}/activity`);
      await seeIn(second, "pill-credits", "579");
      await world.workerSpends(await userIdOf(page), 575);
      await Promise.all([seeIn(page, "available", "4"), seeIn(second, "pill-credits", /^4$/)]);
      await goTo(page, "Chat");
      await ask(page, "What now?", "Pro chat");
      await seeIn(page, "answer", "1 credit short");
      await seeIn(page, "answer", "Pro chat costs 5 credits and you have 4 to spend");
      await page.getByRole("button", { name: "Buy 100 credits for $5.00" }).click();
      await page.getByRole("link", { name: "Cancel and go back" }).click();
      await page.getByText("Nothing was charged").waitFor();
      await second.close();
    },
  );

  test.runIf(isDesktop)(
    "gets a clear word on a declined card, and on a callback opened by hand",
    async () => {
      await page.goto(`${world.webUrl}/credits`);
      await page.getByRole("button", { name: "Buy 100 credits for $5.00" }).click();
      await page.getByText("The card is declined").click();
      await page.getByRole("button", { name: "Pay $5.00" }).click();
      await page.getByText("Your card was declined").waitFor();
      // Back again, and the shop accepts another click.
      while (new URL(page.url()).origin !== world.webUrl) await page.goBack();
      await page.getByRole("button", { name: "Buy 100 credits for $5.00" }).click();
      await page.getByRole("button", { name: "Pay $5.00" }).waitFor();
      await page.goto(`${world.apiUrl}/api/auth/google/callback?code=made-up&state=made-up`);
      await page.getByText("This sign-in was not started in this browser").waitFor();
      await page.goto(`${world.webUrl}/auth/callback?error=made-up`);
      await page.getByText("The sign-in did not work").waitFor();
      await page.goto(`${world.webUrl}/auth/callback?returnTo=//evil.example/x`);
      await seeIn(page, "available", "4");
      expect(new URL(page.url()).origin).toBe(world.webUrl);
    },
  );

  test("every page fits", async () => {
    const places = page.getByRole("navigation", { name: "Main" });
    for (const [place, heading] of [
      ["Chat", "Chat"],
      ["Slides", "Slides"],
      ["Credits", "Credits"],
      ["Plan", "Plan"],
      ["Activity", "Activity"],
      ["Account", "Account"],
      ["Home", /^Hello/],
    ] as const) {
      await places.getByRole("link", { name: place }).click();
      const title = page.getByRole("heading", { level: 1, name: heading });
      await title.waitFor();
      // The focus is on the new page's heading, so that the keyboard continues from there.
      await expect
        .poll(() => page.evaluate("document.querySelector('main h1') === document.activeElement"))
        .toBe(true);
      await expect.poll(() => page.locator(".skeleton").count()).toBe(0);
      expect([place, await overflow(page)]).toEqual([place, 0]);
    }
    await page.goto(`${world.webUrl}/nowhere`);
    await page.getByRole("heading", { name: "Page not found" }).waitFor();
    expect(await overflow(page)).toBe(0);
  });

  test.runIf(isDesktop)("signs out, here and in the other tab, and stays out", async () => {
    const second = await person.newPage();
    await second.goto(world.webUrl);
    await seeIn(second, "available", "4");
    await page.goto(`${world.webUrl}/account`);
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await page.getByRole("button", { name: "Continue with Google" }).waitFor();
    await second.getByRole("button", { name: "Continue with Google" }).waitFor();
    await page.reload();
    await page.getByRole("button", { name: "Continue with Google" }).waitFor();
  });

  test("heard no page complain", () => {
    expect(complaints).toEqual([]);
  });
});
