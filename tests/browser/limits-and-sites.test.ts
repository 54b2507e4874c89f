// The frontend's environment: a user who calls too often, one with many tabs, and an API on another site.
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { ask, goTo, seeIn, signInAs } from "./person.ts";
import { startBrowserWorld } from "./world.ts";

describe("with few calls allowed", () => {
  test("whoever is too quick is told kindly, and charged nothing for it", async () => {
    const world = await startBrowserWorld({ env: { RATE_LIMIT_MAX_REQUESTS: "8" } });
    try {
      const page = await (await world.newPerson()).newPage();
      await page.goto(world.webUrl);
      await signInAs(page, "hasty@example.com");
      await seeIn(page, "available", "100");
      await goTo(page, "Chat");
      world.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
      for (let asked = 0; asked < 10; asked += 1) {
        await ask(page, `Question ${asked}`);
        await page
          .getByTestId("answer")
          .nth(asked)
          .getByText(/charged/)
          .first()
          .waitFor();
        if (await page.getByText("Too many requests").isVisible()) break;
      }
      await seeIn(
        page,
        "answer",
        /Please wait \d+ (minutes?|seconds?) and try again\. Nothing was charged/,
      );
    } finally {
      await world.close();
    }
  });
});

/** Makes the page believe that its tab is visible or hidden: in headless Chromium every tab is visible. */
async function setShown(page: Page, isShown: boolean): Promise<void> {
  const state = isShown ? "visible" : "hidden";
  await page.evaluate(
    `Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "${state}" });
     document.dispatchEvent(new Event("visibilitychange"));`,
  );
}

describe("with more tabs than a browser has connections", () => {
  test("the ninth tab loads, and the first knows the balance when it is in front again", async () => {
    const world = await startBrowserWorld();
    try {
      const person = await world.newPerson();
      const first = await person.newPage();
      await first.goto(world.webUrl);
      await signInAs(first, "many.tabs@example.com");
      await setShown(first, false);
      let last = first;
      for (let opened = 2; opened <= 9; opened += 1) {
        last = await person.newPage();
        await last.goto(world.webUrl);
        await seeIn(last, "available", "100");
        if (opened < 9) await setShown(last, false);
      }
      await goTo(last, "Chat");
      await ask(last, "Does anybody behind me hear of this?", "Pro chat");
      await seeIn(last, "charge", "5 credits charged");
      await setShown(last, false);
      await setShown(first, true);
      await seeIn(first, "available", "95");
    } finally {
      await world.close();
    }
  });
});

describe("with COOKIE_SAMESITE=none and a frontend on another site", () => {
  test("one signs in, spends, stays signed in over a reload, and signs out", async () => {
    const world = await startBrowserWorld({
      crossSite: true,
      env: { COOKIE_SAMESITE: "none" },
    });
    try {
      expect(new URL(world.webUrl).hostname).not.toBe(new URL(world.apiUrl).hostname);
      const person = await world.newPerson();
      const page = await person.newPage();
      await page.goto(world.webUrl);
      await signInAs(page, "far.away@example.com");
      await goTo(page, "Chat");
      await ask(page, "Hello from another site", "Pro chat");
      await seeIn(page, "charge", "5 credits charged");
      await goTo(page, "Home");
      await seeIn(page, "available", "95");
      await page.reload();
      await seeIn(page, "available", "95");
      const cookie = (await person.cookies(world.apiUrl)).find((it) => it.name.includes("refresh"));
      expect(cookie).toMatchObject({ sameSite: "None", secure: true, httpOnly: true });
      expect(cookie?.name).toMatch(/^__Host-/);
      await page.goto(`${world.webUrl}/account`);
      await page.getByRole("button", { name: "Sign out", exact: true }).click();
      await page.getByRole("button", { name: "Continue with Google" }).waitFor();
      expect(
        (await person.cookies(world.apiUrl)).filter((it) => it.name.includes("refresh")),
      ).toEqual([]);
    } finally {
      await world.close();
    }
  });
});
