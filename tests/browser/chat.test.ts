// The chat page in a real Chromium: streaming, stop, a lost connection, a reload, two tabs, a failing model.
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TcpProxy } from "../support/tcp-proxy.ts";
import { ask, goTo, seeIn, signInAs } from "./person.ts";
import { type BrowserWorld, startBrowserWorld } from "./world.ts";

let world: BrowserWorld;
let proxy: TcpProxy;
let person: BrowserContext;
let page: Page;
let left = 100;

beforeAll(async () => {
  world = await startBrowserWorld({ env: { RATE_LIMIT_MAX_REQUESTS: "400" } });
  proxy = world.proxy;
  person = await world.newPerson();
  page = await person.newPage();
  await page.goto(world.webUrl);
  await signInAs(page, "talker@example.com");
  await goTo(page, "Chat");
});
afterAll(async () => {
  await person?.close();
  await world?.close();
});

/** Returns the text of the last answer, without whitespace. */
async function lastAnswer(from: Page = page): Promise<string> {
  const text = await from.getByTestId("answer").last().locator(".markdown").textContent();
  return (text ?? "").replace(/\s+/g, "");
}

/** Waits until the last answer has some text. */
async function seeWords(from: Page = page): Promise<void> {
  await from.getByTestId("answer").last().getByText("stand-in model").waitFor();
}

/** Waits until the last answer shows its charge. */
async function seeCharge(from: Page = page): Promise<void> {
  await from
    .getByTestId("charge")
    .last()
    .getByText(/charged/)
    .waitFor({ timeout: 60_000 });
}

const setSpeed = (tokensPerSecond: number) => world.sandbox.model.control.setSpeed(tokensPerSecond);
/** Tokens per second. The first words arrive soon, and an answer takes more than 15 seconds. */
const SLOW = 10;
/** At this speed an answer takes 90 seconds, so it does not end before the test speeds it up. */
const VERY_SLOW = 2;

let whole = "";

test("an answer arrives as Markdown, is charged once for two clicks, and can be copied", async () => {
  setSpeed(SLOW);
  await ask(page, "Tell me <b>about</b> tea");
  await seeWords();
  await page.getByRole("button", { name: "Stop" }).waitFor();
  setSpeed(Number.POSITIVE_INFINITY);
  await seeCharge();
  left -= 1;
  await seeIn(page, "charge", `1 credit charged · ${left} left`);
  expect(await page.getByTestId("answer").count()).toBe(1);
  // The model repeats the question: the question's markup must be text, not HTML.
  expect(await page.locator(".markdown b").count()).toBe(0);
  expect(await page.locator(".markdown strong").count()).toBeGreaterThan(0);
  whole = await lastAnswer();
  await person.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy" }).click();
  await page.getByText("Copied").waitFor();
  expect(await page.evaluate("navigator.clipboard.readText()")).toContain("**stand-in model**");
});

test("another try shows the price of the model that is chosen now", async () => {
  const choose = (model: string) => page.locator("label").filter({ hasText: model }).click();
  const again = page.getByRole("button", { name: /^Try again/ });
  expect(await again.textContent()).toContain("1 credit");
  await choose("Pro chat");
  expect(await again.textContent()).toContain("5 credits");
  await choose("Quick chat");
});

test("a press on Stop that meets Ask, because the answer has just ended, sends nothing", async () => {
  await page.getByRole("link", { name: "New chat" }).click();
  setSpeed(SLOW);
  await ask(page, "Tell me about coffee");
  await seeWords();
  setSpeed(VERY_SLOW);
  await page.getByLabel("Your question").fill("A draft");
  // Clicks the button that replaces Stop as soon as it appears.
  await page.evaluate(`new MutationObserver((_changes, observer) => {
    const button = document.querySelector(".composer-foot button");
    if (!button.textContent.startsWith("Ask")) return;
    observer.disconnect();
    button.click();
  }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true })`);
  setSpeed(Number.POSITIVE_INFINITY);
  await seeCharge();
  left -= 1;
  await page.waitForTimeout(700);
  expect(await page.getByTestId("answer").count()).toBe(1);
  expect(await page.getByLabel("Your question").inputValue()).toBe("A draft");
});

test("a connection cut in the middle loses nothing and charges once", async () => {
  await page.getByRole("link", { name: "New chat" }).click();
  setSpeed(SLOW);
  await ask(page, "Tell me <b>about</b> tea");
  await seeWords();
  setSpeed(VERY_SLOW);
  for (let cut = 0; cut < 3; cut += 1) {
    proxy.refuse();
    await page.getByText("The connection was lost").waitFor();
    proxy.restore();
    await page.getByText("The connection was lost").waitFor({ state: "detached" });
  }
  setSpeed(Number.POSITIVE_INFINITY);
  await seeCharge();
  left -= 1;
  await seeIn(page, "charge", `1 credit charged · ${left} left`);
  expect(await lastAnswer()).toBe(whole);
});

test("a reload in the middle goes on where it was, and another tab watches", async () => {
  await page.getByRole("link", { name: "New chat" }).click();
  setSpeed(SLOW);
  await ask(page, "Tell me <b>about</b> tea");
  await seeWords();
  setSpeed(VERY_SLOW);
  const second = await person.newPage();
  await second.goto(page.url());
  await seeWords(second);
  await page.reload();
  await seeWords();
  setSpeed(Number.POSITIVE_INFINITY);
  await Promise.all([seeCharge(), seeCharge(second)]);
  left -= 1;
  expect(await lastAnswer()).toBe(whole);
  expect(await lastAnswer(second)).toBe(whole);
  await seeIn(page, "pill-credits", String(left));
  await second.close();
});

test("stop ends it, charges for what arrived, and a new try is a new charge", async () => {
  await page.getByRole("link", { name: "New chat" }).click();
  setSpeed(SLOW);
  await ask(page, "Something long, please", "Pro chat");
  await seeWords();
  await page.getByRole("button", { name: "Stop" }).click();
  await seeIn(page, "charge", /Stopped · \d credits? charged/);
  const stopped = Number(
    /(\d+) left/.exec((await page.getByTestId("charge").last().textContent()) ?? "")?.[1],
  );
  expect(stopped).toBeLessThan(left);
  setSpeed(Number.POSITIVE_INFINITY);
  await page.getByRole("button", { name: /^Try again/ }).click();
  await seeIn(page, "charge", `5 credits charged · ${stopped - 5} left`);
  expect(await page.getByTestId("answer").count()).toBe(1);
  left = stopped - 5;
});

test("a model that fails before its first word costs nothing and says so", async () => {
  world.sandbox.model.control.misbehave({ fault: "error", times: 20 });
  await ask(page, "Will this work?");
  await seeIn(page, "answer", "There was a problem with the AI model");
  await seeIn(page, "answer", "Nothing was charged");
  world.sandbox.model.control.reset();
  await seeIn(page, "pill-credits", String(left));
});

test("conversations are kept in this browser until they are cleared", async () => {
  const kept = page.getByRole("navigation", { name: "Conversations" });
  expect(await kept.getByRole("listitem").count()).toBe(5);
  await page.getByRole("button", { name: "Clear all" }).click();
  await page.keyboard.press("Escape");
  await expect.poll(() => page.evaluate("document.activeElement.textContent")).toBe("Clear all");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Clear all" }).click();
  await page.getByText("What would you like to know?").waitFor();
  expect(await page.evaluate("localStorage.length")).toBe(0);
});
