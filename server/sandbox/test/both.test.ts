// The stand-ins start and stop together, and a failed start leaves nothing behind.
import { createServer } from "node:http";
import Stripe from "stripe";
import { expect, it } from "vitest";
import { startSandbox } from "../src/sandbox.ts";
import { driveSignIn } from "../../../tests/support/google-sign-in.ts";
import { freePort, listen } from "../../../tests/support/ports.ts";

const CALLBACK = "http://localhost:5997/api/auth/google/callback";

it("an app needs only the lines it is given", async () => {
  const sandbox = await startSandbox({ redirectUris: [CALLBACK] });
  try {
    const { env } = sandbox;
    const base = new URL(env.STRIPE_API_BASE ?? "");
    const stripe = new Stripe(env.STRIPE_SECRET_KEY ?? "", {
      protocol: "http",
      host: base.hostname,
      port: base.port,
    });
    expect((await stripe.customers.create({ email: "a@example.com" })).email).toBe("a@example.com");
    const discovery = await fetch(`${env.GOOGLE_ISSUER}/.well-known/openid-configuration`);
    const { authorization_endpoint: start } = (await discovery.json()) as {
      authorization_endpoint: string;
    };
    const query = new URLSearchParams({
      client_id: env.GOOGLE_CLIENT_ID ?? "",
      redirect_uri: CALLBACK,
      response_type: "code",
      scope: "openid email",
      state: "s",
    });
    const callback = await driveSignIn(`${start}?${query.toString()}`, { email: "b@example.com" });
    expect(new URL(callback).searchParams.get("code")).toBeTruthy();
  } finally {
    await sandbox.close();
  }
});

it("says which port is taken and frees the one it already had", async () => {
  const squatter = createServer();
  const taken = await listen(squatter);
  const free = await freePort();
  const start = startSandbox({ stripePort: free, googlePort: taken, redirectUris: [CALLBACK] });
  await expect(start).rejects.toThrow(`Google sandbox cannot listen on 127.0.0.1:${taken}`);
  await new Promise((resolve) => squatter.close(resolve));
  const again = await startSandbox({
    stripePort: free,
    googlePort: taken,
    redirectUris: [CALLBACK],
  });
  expect(again.stripe.port).toBe(free);
  await again.close();
});
