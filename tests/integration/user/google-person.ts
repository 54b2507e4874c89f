// A person of the sandbox's Google and their whole sign-in over HTTP.
import { randomUUID } from "node:crypto";
import type { TestApp } from "../../support/server.ts";
import { signInWith } from "../auth/support.ts";

/** Somebody new at Google; answers the address. */
export function googleUser(world: TestApp): string {
  const sub = randomUUID();
  const email = `${sub}@example.com`;
  const picture = "https://img.example/r.png";
  const person = { sub, email, name: "Returner", picture, email_verified: true };
  world.sandbox.google.control.setUser(person);
  return email;
}

/** A whole sign-in over HTTP; answers the access token and the account. */
export async function signInByGoogle(world: TestApp, email: string) {
  const { browser, error } = await signInWith(world, email);
  if (error !== null) throw new Error(`not signed in: ${error}`);
  const renewed = await world.call("auth.refresh", "mutation", undefined, {
    cookie: `refresh=${browser.refreshToken}`,
    origin: "http://localhost:3000",
  });
  const { accessToken } = renewed.data as { accessToken: string };
  const me = await world.call("auth.me", "query", undefined, {
    authorization: `Bearer ${accessToken}`,
  });
  return { accessToken, user: (me.data as { user: { id: string; credits: number } }).user };
}
