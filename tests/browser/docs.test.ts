// /api/docs lets a person try calls, under its own CSP, and loads nothing from other hosts.
import axe from "axe-core";
import { chromium, type Page } from "playwright-core";
import { expect, test } from "vitest";
import { openTestApp } from "../support/server.ts";

/** Returns what axe finds on the page in its two highest severities, which keep some people out. */
async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(
    `axe.run(document, { preload: false, resultTypes: ["violations"] }).then(({ violations }) => violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => id + ": " + nodes.map(({ target }) => target.join(" ")).join(", ")))`,
  );
}

test("returns answers to calls tried on /api/docs, signed in by the cookie", async () => {
  const server = await openTestApp();
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium",
  });
  try {
    const session = await server.signIn("docs@example.com");
    const context = await browser.newContext();
    await context.addCookies([
      { name: "refresh", value: session.refreshToken, url: server.url, httpOnly: true },
    ]);
    // signIn has already used that token, so it would soon count as stolen: the browser gets its own.
    expect((await context.request.post(`${server.url}/api/auth/refresh`, { data: {} })).ok()).toBe(
      true,
    );
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (message.type() !== "log") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("request", (request) => {
      if (![server.url, "data:"].some((own) => request.url().startsWith(own)))
        complaints.push(request.url());
    });
    const tryCall = async (tag: string, operation: string, answered: RegExp): Promise<string> => {
      const block = page.locator(`#operations-${tag}-${operation}`);
      await block.locator(".opblock-summary-control").first().click();
      await block.locator(".execute").click();
      const answer = block.locator(".live-responses-table .response").first();
      // The body is highlighted, and therefore complete, a moment after its status.
      await expect.poll(() => answer.innerText(), { timeout: 15_000 }).toMatch(answered);
      return answered.exec(await answer.innerText())?.[1] ?? "";
    };

    await page.goto(server.url);
    await page.locator(".opblock").first().waitFor();
    expect(page.url()).toBe(`${server.url}/api/docs`);
    const token = await tryCall("auth", "auth_refresh", /"accessToken": "([^"]+)"/);
    await page.getByRole("button", { name: "Authorize" }).first().click();
    await page.locator(".auth-container input").first().fill(token);
    expect(await seriousFindings(page)).toEqual([]);
    await page.locator(".auth-container button.authorize").first().click();
    await page.locator(".auth-container button").filter({ hasText: "Logout" }).first().waitFor();
    await page.locator(".btn-done").first().click();
    await tryCall("user", "user_update", /"name": "Ada Lovelace"/);
    await tryCall("credit", "credit_balance", /"available": 100/);
    expect(await seriousFindings(page)).toEqual([]);
    expect(complaints).toEqual([]);
  } finally {
    await browser.close();
    await server.close();
  }
});
