// The slides page in a real Chromium: a deck that appears slide by slide, is edited, presented and exported.
import { readFile } from "node:fs/promises";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { goTo, makeSlides, seeIn, signInAs } from "./person.ts";
import { type BrowserWorld, startBrowserWorld } from "./world.ts";
import { deferred } from "../support/deferred.ts";

let world: BrowserWorld;
let person: BrowserContext;
let page: Page;

beforeAll(async () => {
  world = await startBrowserWorld({ env: { RATE_LIMIT_MAX_REQUESTS: "400" } });
  person = await world.newPerson();
  page = await person.newPage();
  await page.goto(world.webUrl);
  await signInAs(page, "presenter@example.com");
  await goTo(page, "Slides");
});
afterAll(async () => {
  await person?.close();
  await world?.close();
});

async function titles(): Promise<string[]> {
  return page.getByTestId("outline").locator("h3").allTextContents();
}

test("a deck appears slide by slide, over a reload, and is charged once for two clicks", async () => {
  world.sandbox.model.control.setSpeed(20);
  await makeSlides(page, "Waste less bread", 5);
  await page.getByText(/^[1-4] of 5 slides$/).waitFor();
  await page.reload();
  world.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
  await seeIn(page, "charge-ppt-generate", "10 credits charged · 90 left");
  expect(await titles()).toHaveLength(5);
});

test("a change by instruction replaces the slides and can be undone", async () => {
  await page.getByLabel("What should change?").fill("Name a number");
  await page.getByRole("button", { name: /^Change slides/ }).dblclick();
  await seeIn(page, "charge-ppt-edit", "5 credits charged · 85 left");
  expect(await page.getByText("Changed as asked: Name a number").count()).toBe(5);
  await page.getByRole("button", { name: "Undo the change" }).click();
  expect(await page.getByText("Changed as asked: Name a number").count()).toBe(0);
  expect(await titles()).toHaveLength(5);
});

test("it is presented by keyboard over the whole screen, and Escape gives the focus back", async () => {
  const [first, second] = await titles();
  await page.getByRole("button", { name: "Present" }).focus();
  await page.keyboard.press("Enter");
  await seeIn(page, "stage", first ?? "");
  await page.keyboard.press("ArrowRight");
  await seeIn(page, "stage", second ?? "");
  await page.keyboard.press("End");
  await page.getByText("5 / 5").waitFor();
  await page.keyboard.press("Home");
  await page.getByText("1 / 5").waitFor();
  await page.keyboard.press("Escape");
  await page.getByTestId("stage").waitFor({ state: "detached" });
  await expect.poll(() => page.evaluate("document.activeElement.textContent")).toContain("Present");
});

test("it is taken along as Markdown and as PowerPoint", async () => {
  const save = async (name: string) => {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name }).click(),
    ]);
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
  };
  const markdown = await save("Download Markdown");
  expect(markdown.name).toBe("waste-less-bread.md");
  expect(markdown.bytes.toString().match(/^## /gm)).toHaveLength(5);
  const pptx = await save("Download PowerPoint");
  expect(pptx.name).toBe("waste-less-bread.pptx");
  // A zip file with one entry per slide.
  expect(pptx.bytes.subarray(0, 2).toString()).toBe("PK");
  expect(pptx.bytes.includes("ppt/slides/slide5.xml")).toBe(true);
});

test("a change that brings more after its stop is undone as a whole", async () => {
  // Slow enough to continue for more than the two seconds that a stop waits for the stream's last events.
  world.sandbox.model.control.setSpeed(12);
  await page.getByLabel("What should change?").fill("Name a colour");
  await page.getByRole("button", { name: /^Change slides/ }).click();
  await page.getByText(/^[1-4] slides changed/).waitFor();
  // Answered while the run continues, as if the stream's last events came later than the answer.
  await page.route(/ai\.stop/, (route) =>
    route.fulfill({
      headers: {
        "access-control-allow-origin": world.webUrl,
        "access-control-allow-credentials": "true",
      },
      json: [{ result: { data: { outcome: "stopped", charged: 2, balance: 83 } } }],
    }),
  );
  await page.getByRole("button", { name: "Stop" }).click();
  await seeIn(page, "charge-ppt-edit", "Stopped");
  world.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
  await seeIn(page, "charge-ppt-edit", /^5 credits charged/);
  await page.unroute(/ai\.stop/);
  expect(await page.getByText("Changed as asked: Name a colour").count()).toBe(5);
  // By keyboard: the button disappears, and the focus with it unless it is moved elsewhere.
  await page.getByRole("button", { name: "Undo the change" }).focus();
  await page.keyboard.press("Enter");
  await expect.poll(() => page.getByText("Changed as asked: Name a colour").count()).toBe(0);
  await expect.poll(() => page.evaluate("document.activeElement.tagName")).toBe("H1");
});

test("a stop that does not get through says so, and is pressed again", async () => {
  // Slow enough that it is far from finished when the stop gets through.
  world.sandbox.model.control.setSpeed(10);
  await page.getByRole("link", { name: "New deck" }).click();
  await makeSlides(page, "A long story", 20);
  await page.getByText(/^[1-9] of 20 slides$/).waitFor();
  world.proxy.refuse();
  const stop = page.getByRole("button", { name: "Stop" });
  await stop.click();
  await page.getByText("Couldn't stop it").waitFor();
  world.proxy.restore();
  await stop.click();
  await seeIn(page, "charge-ppt-generate", /Stopped · \d+ credits? charged/);
});

test("a stop before the start is answered counts once it is", async () => {
  await page.getByRole("link", { name: "New deck" }).click();
  const { promise: mayStart, resolve: start } = deferred();
  await page.route(/ai\.start/, async (route) => {
    await mayStart;
    await route.continue();
  });
  await makeSlides(page, "Another long story", 20);
  await page.getByRole("button", { name: "Stop" }).click();
  start();
  await seeIn(page, "charge-ppt-generate", /Stopped/);
  await page.unroute(/ai\.start/);
});
