// The whole story without a mouse: only Tab, Enter, Space, arrows, Escape and typing. Also: the reads a page costs.
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { seeIn } from "./person.ts";
import { type BrowserWorld, startBrowserWorld } from "./world.ts";

let world: BrowserWorld;
let page: Page;
/** Names of the queries that the page has sent, in order. */
const reads: string[] = [];

beforeAll(async () => {
  world = await startBrowserWorld({ env: { RATE_LIMIT_MAX_REQUESTS: "400" } });
  world.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
  page = await (await world.newPerson()).newPage();
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (request.method() !== "GET" || !pathname.startsWith("/api/trpc/")) return;
    // Streams are long-lived connections, not reads.
    if (request.headers()["accept"]?.includes("text/event-stream")) return;
    reads.push(...pathname.slice("/api/trpc/".length).split(","));
  });
});
afterAll(() => world?.close());

type Role = "button" | "link" | "textbox" | "radio" | "spinbutton";
const MOST_STOPS = 60;
/** Generous, for busy machines. */
const PATIENCE = { timeout: 30_000 };

/** Tabs to the first element with that role and name; fails if the focus is not visible, or never gets there. */
async function tabTo(role: Role, name: string | RegExp): Promise<void> {
  const target = page
    .getByRole(role, { name, ...(typeof name === "string" ? { exact: true } : {}) })
    .and(page.locator(":focus"));
  for (let stops = 0; stops < MOST_STOPS; stops += 1) {
    await page.keyboard.press("Tab");
    if ((await target.count()) === 0) continue;
    // A radio button is displayed as its label, the question field as its form.
    const seen = await page.evaluate(`(() => {
      const focused = document.activeElement;
      const labels = [...(focused.labels ?? [])];
      const drawn = [focused, focused.closest("form"), ...labels.flatMap((label) => [label, ...label.children])];
      return drawn.some((one) => one !== null && getComputedStyle(one).outlineStyle !== "none");
    })()`);
    expect([String(name), "focus is visible", seen]).toEqual([
      String(name),
      "focus is visible",
      true,
    ]);
    return;
  }
  throw new Error(`Tab never comes to the ${role} ${String(name)}`);
}

const press = (key: string) => page.keyboard.press(key);
const type = (text: string) => page.keyboard.type(text);

/** Follows a link in the main navigation. */
async function open(place: string): Promise<void> {
  await tabTo("link", place);
  await press("Enter");
  await page.getByRole("heading", { level: 1 }).and(page.locator(":focus")).waitFor();
  await expect.poll(() => page.locator(".skeleton").count(), PATIENCE).toBe(0);
}

test("signs in", async () => {
  await page.goto(world.webUrl);
  await page.getByRole("button", { name: "Continue with Google" }).waitFor();
  await tabTo("button", "Continue with Google");
  await press("Enter");
  await page.getByLabel("E-mail address").waitFor();
  await tabTo("textbox", "E-mail address");
  await press("ControlOrMeta+a");
  await type("keyboard@example.com");
  await press("Enter");
  await seeIn(page, "available", "100");
});

test("asks, chooses another model, and copies the answer", async () => {
  await open("Chat");
  await tabTo("textbox", "Your question");
  await type("How do I make tea?");
  await press("Enter");
  await seeIn(page, "charge", "1 credit charged · 99 left");
  await tabTo("radio", /^Quick chat/);
  await press("ArrowRight");
  await press("Shift+Tab");
  await type("And coffee?");
  await press("Enter");
  await seeIn(page, "charge", "5 credits charged · 94 left");
});

test("stops an answer", async () => {
  world.sandbox.model.control.setSpeed(10);
  await type("Tell me everything");
  await press("Enter");
  await page.getByRole("button", { name: /^Stop/ }).waitFor();
  await tabTo("button", /^Stop/);
  await press("Enter");
  await page.getByRole("button", { name: /^Ask/ }).waitFor();
  world.sandbox.model.control.setSpeed(Number.POSITIVE_INFINITY);
});

test("makes slides", async () => {
  await open("Slides");
  await tabTo("textbox", "What is it about?");
  await type("Tea");
  await tabTo("button", /^Make slides/);
  await press("Enter");
  await seeIn(page, "charge-ppt-generate", "10 credits charged");
});

test("buys credits", async () => {
  await open("Credits");
  await tabTo("button", /^Buy 500 credits/);
  await press("Enter");
  await page.getByRole("button", { name: "Pay $20.00" }).waitFor();
  await tabTo("button", "Pay $20.00");
  await press("Enter");
  await seeIn(page, "payment-result", "500 credits are in your account.");
});

test("subscribes, and leaves a dialog by Escape back to where it was opened", async () => {
  await open("Plan");
  await tabTo("button", /^Choose Basic/);
  await press("Enter");
  await page.getByRole("button", { name: "Subscribe" }).waitFor();
  await tabTo("button", "Subscribe");
  await press("Enter");
  await page.getByTestId("payment-result").waitFor();
  await open("Plan");
  await tabTo("button", "Cancel plan");
  await press("Enter");
  await page.getByRole("dialog").waitFor();
  await press("Escape");
  await expect.poll(() => page.getByRole("dialog").count(), PATIENCE).toBe(0);
  await page.getByRole("button", { name: "Cancel plan" }).and(page.locator(":focus")).waitFor();
});

/** How many reads happen within `ms`. */
const readsWithin = (ms: number) => async () => {
  const before = reads.length;
  await page.waitForTimeout(ms);
  return reads.length - before;
};

test("a page costs at most two reads, Credits three", async () => {
  for (const place of ["Home", "Chat", "Slides", "Credits", "Plan", "Activity", "Account"]) {
    // What a visit by URL costs, in addition to the frame that every page has.
    const path = place === "Home" ? "/" : `/${place.toLowerCase()}`;
    // Requests that the previous page was about to send must not count for this one.
    await page.goto("about:blank");
    reads.length = 0;
    await page.goto(`${world.webUrl}${path}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await expect.poll(() => page.locator(".skeleton").count(), PATIENCE).toBe(0);
    await expect.poll(() => reads, PATIENCE).toContain("auth.me");
    await expect.poll(readsWithin(500), PATIENCE).toBe(0);
    const frame = new Set(["auth.me", "credit.balance"]);
    const own = reads.filter((read) => !frame.has(read));
    const most = place === "Credits" ? 3 : 2;
    expect([place, own.length <= most, own]).toEqual([place, true, own]);
  }
});

test("signs out", async () => {
  // The visits above ended on the account page, where its own link leads nowhere new.
  await open("Home");
  await open("Account");
  await tabTo("button", "Sign out");
  await press("Enter");
  await page.getByRole("button", { name: "Continue with Google" }).waitFor();
});
