// The results of a wrong ID token and of a failing provider (promises 4 and 12, OpenID Connect Core 3.1.3.7).
import { afterEach, describe, expect, it } from "vitest";
import { TOKEN_FAULTS, type TokenFault } from "../../../server/sandbox/src/google/tokens.ts";
import { SIGN_IN_ERRORS, type SignInError } from "../../../shared/src/errors.ts";
import { useTestApp } from "../../support/use-app.ts";
import { Browser, expectRefused, landingOf, newEmail, signInWith, toCallback } from "./support.ts";
import { within } from "../../support/own-time.ts";

describe("the provider of sign-in", () => {
  const world = useTestApp({});
  afterEach(() => {
    world.sandbox.google.control.wellBehaved();
    world.clock.aheadMs = 0;
  });

  const refused = expectRefused.bind(null, world);
  const signIn = (email: string) => signInWith(world, email);

  const faults: Record<TokenFault, SignInError> = {
    "wrong-aud": "identity_invalid",
    "aud-list-foreign": "identity_invalid",
    "wrong-azp": "identity_invalid",
    "wrong-iss": "identity_invalid",
    "iss-lookalike": "identity_invalid",
    "alg-none": "identity_invalid",
    "hs256-public-key": "identity_invalid",
    "unknown-kid": "identity_invalid",
    "no-kid": "identity_invalid",
    "jku-header": "identity_invalid",
    "jwk-header": "identity_invalid",
    "crit-header": "identity_invalid",
    "bad-signature": "identity_invalid",
    expired: "identity_invalid",
    "no-exp": "identity_invalid",
    "iat-future": "identity_invalid",
    "iat-old": "identity_invalid",
    "nbf-future": "identity_invalid",
    "wrong-nonce": "identity_invalid",
    "no-nonce": "identity_invalid",
    "no-sub": "identity_invalid",
    "email-unverified": "email_not_verified",
    "email-verified-missing": "email_not_verified",
    "email-verified-string": "email_not_verified",
    "no-email": "provider_error",
    "not-a-jwt": "identity_invalid",
    "jwe-shaped": "provider_error",
    oversized: "provider_unavailable",
    missing: "provider_error",
  };
  it.each(TOKEN_FAULTS.map((fault) => [fault, faults[fault]] as const))(
    "refuses an ID token with %s as %s",
    async (fault, expected) => {
      const browser = new Browser();
      const email = newEmail();
      const url = await toCallback(world, browser, { email });
      world.sandbox.google.control.faultyTokens(fault);
      await refused(expected, browser, url, email);
    },
  );

  it("refuses when the provider's clock is 10 minutes off, and nothing is half done", async () => {
    for (const seconds of [-1_300, 660]) {
      const browser = new Browser();
      const email = newEmail();
      const url = await toCallback(world, browser, { email });
      world.sandbox.google.control.setClockOffset(seconds);
      await refused("identity_invalid", browser, url, email);
    }
  });

  it("accepts keys that were rotated a moment ago, ten times in a row", async () => {
    for (let round = 0; round < 3; round++) {
      await world.sandbox.google.control.rotateKeys();
      expect((await signIn(newEmail())).error).toBeNull();
    }
  });

  it.each([
    ["token", "500", "provider_unavailable"],
    ["token", "html", "provider_error"],
    ["token", "half", "provider_unavailable"],
    ["token", "refuse", "provider_unavailable"],
    ["token", "empty-json", "provider_error"],
    ["token", "error-markup", "code_invalid"],
  ] as const)(
    "answers a %s endpoint that fails with %s by %s",
    async (endpoint, fault, expected) => {
      const browser = new Browser();
      const email = newEmail();
      const url = await toCallback(world, browser, { email });
      world.sandbox.google.control.faultyEndpoint(endpoint, fault);
      await refused(expected, browser, url, email);
      expect((await signIn(email)).error).toBeNull();
    },
  );

  it("ends in provider_unavailable when the token endpoint hangs", async () => {
    const browser = new Browser();
    const url = await toCallback(world, browser, { email: newEmail() });
    world.sandbox.google.control.faultyEndpoint("token", "hang");
    const landing = await within(30_000, () => browser.get(url));
    expect(landingOf(landing).error).toBe("provider_unavailable");
  });

  it("has a test for a code of the closed list or says why not", () => {
    const shown: SignInError[] = [
      ...Object.values(faults),
      "access_denied",
      "state_invalid",
      "state_expired",
      "code_invalid",
      "account_conflict",
      "account_disabled",
    ];
    // rate_limited is tested in tests/integration/http/limit-tiers; server_error means an unavailable database.
    const elsewhere: SignInError[] = ["rate_limited", "server_error"];
    expect(new Set([...shown, ...elsewhere])).toEqual(new Set(SIGN_IN_ERRORS));
  });
});
