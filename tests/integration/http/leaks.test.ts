// Neither the log nor the raw bytes of the database contain anything with which a reader could gain access.
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { driveSignIn } from "../../support/google-sign-in.ts";
import { cookiesOf } from "../../support/server.ts";
import { SERVICE_KEY } from "../../support/server-env.ts";
import { useTestApp } from "../../support/use-app.ts";

const server = useTestApp({ logLevel: "trace" });

/** Returns every secret that a complete run has produced, by name. */
async function wholeRun(): Promise<Record<string, string>> {
  const out = await fetch(`${server.url}/api/auth/google`, { redirect: "manual" });
  const callback = await driveSignIn(out.headers.get("location") ?? "", {
    email: "leak@example.com",
  });
  const attempt = cookiesOf(out).join("; ");
  const back = await fetch(callback, { redirect: "manual", headers: { cookie: attempt } });
  const [cookie = ""] = cookiesOf(back).filter((pair) => pair.startsWith("refresh="));
  const first = cookie.slice("refresh=".length);
  const renewed = await server.client().auth.refresh.mutate({ refreshToken: first });
  const client = server.client(renewed.accessToken);
  await client.credit.spend.mutate({ feature: "chat-flash", idempotencyKey: "leak-1" });
  const { sessionId } = await client.payment.checkout.mutate({ packageId: "pkg_small" });
  server.sandbox.stripe.control.completeCheckout(sessionId);
  await server.sandbox.stripe.control.idle();
  // Refusals are logged, too: with a token where it does not belong, and with a broken signature.
  await fetch(`${server.url}/api/auth/me?token=${renewed.accessToken}`, {
    headers: { authorization: "Bearer broken", cookie },
  });
  await fetch(`${server.url}/api/payment/webhook`, { method: "POST", body: "{}" });
  await fetch(callback, { redirect: "manual", headers: { cookie: attempt } });
  await server
    .serviceClient()
    .service.release.mutate({ holdId: "none" })
    .catch(() => undefined);
  const query = new URL(callback).searchParams;
  return {
    "access token": renewed.accessToken,
    "refresh token": first,
    "refresh token after rotation": renewed.refreshToken ?? "",
    "authorization code": query.get("code") ?? "",
    "sign-in cookie": attempt.slice(attempt.indexOf("=") + 1),
    "service key": SERVICE_KEY,
    "access token secret": server.config.tokens.accessSecrets[0] ?? "",
    "refresh token secret": server.config.tokens.refreshSecrets[0] ?? "",
    "client secret": server.config.google.clientSecret,
    "Stripe key": server.config.stripe.secretKey,
    "webhook secret": server.config.stripe.webhookSecrets[0] ?? "",
  };
}

test("a whole run leaves no token, code or secret in the log or the database", async () => {
  const secrets = await wholeRun();
  const log = JSON.stringify(server.logged());
  const folder = dirname(new URL(server.opened.env["DATABASE_URL"] ?? "").pathname);
  const files = await readdir(folder);
  const contents = await Promise.all(files.map((name) => readFile(join(folder, name), "latin1")));
  const database = contents.join("");
  // Make sure that both were really searched.
  expect(log).toContain("/api/auth/google/callback");
  expect(database).toContain("leak@example.com");
  for (const [name, secret] of Object.entries(secrets)) {
    expect(secret.length, name).toBeGreaterThan(15);
    expect(log.includes(secret), `${name} in the log`).toBe(false);
    expect(database.includes(secret), `${name} in the database`).toBe(false);
  }
});
