// The Google stand-in is a real OpenID provider that can be made to lie.
import { createHash, randomBytes } from "node:crypto";
import {
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  type JWTPayload,
  jwtVerify,
} from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type GoogleSandbox, startGoogleSandbox } from "../src/google/server.ts";
import { createCookieJar, driveSignIn } from "../../../tests/support/google-sign-in.ts";

const CLIENT = { clientId: "client.apps.example", clientSecret: "client-secret" };
const CALLBACK = "http://localhost:5999/api/auth/google/callback";
let google: GoogleSandbox;

beforeAll(async () => {
  google = await startGoogleSandbox({ ...CLIENT, redirectUris: [CALLBACK] });
});
afterAll(() => google.close());
beforeEach(() => google.control.wellBehaved());

interface Attempt {
  url: string;
  verifier: string;
  nonce: string;
  state: string;
}

function attempt(extra: { [name: string]: string } = {}): Attempt {
  const verifier = randomBytes(32).toString("base64url");
  const nonce = randomBytes(8).toString("hex");
  const state = randomBytes(8).toString("hex");
  const query = new URLSearchParams({
    response_type: "code",
    client_id: CLIENT.clientId,
    redirect_uri: CALLBACK,
    scope: "openid email profile",
    state,
    nonce,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    ...extra,
  });
  return { url: `${google.issuer}/auth?${query.toString()}`, verifier, nonce, state };
}

async function exchange(
  callback: string,
  verifier: string,
  how: "basic" | "post" = "basic",
): Promise<Response> {
  const body = new URLSearchParams({
    grant_type: "authorization_code",
    code: new URL(callback).searchParams.get("code") ?? "",
    redirect_uri: CALLBACK,
    code_verifier: verifier,
  });
  const headers: { [name: string]: string } = {};
  if (how === "basic")
    headers.authorization = `Basic ${Buffer.from(`${CLIENT.clientId}:${CLIENT.clientSecret}`).toString("base64")}`;
  else {
    body.set("client_id", CLIENT.clientId);
    body.set("client_secret", CLIENT.clientSecret);
  }
  return fetch(`${google.issuer}/token`, { method: "POST", body, headers });
}

async function idToken(email: string): Promise<{ token: string; nonce: string }> {
  const it = attempt();
  const answer = await exchange(await driveSignIn(it.url, { email }), it.verifier);
  const body = (await answer.json()) as { id_token: string };
  return { token: body.id_token, nonce: it.nonce };
}

async function verify(token: string): Promise<JWTPayload> {
  const keys = createRemoteJWKSet(new URL(`${google.issuer}/jwks`));
  return (
    await jwtVerify(token, keys, {
      issuer: google.issuer,
      audience: CLIENT.clientId,
      algorithms: ["RS256"],
    })
  ).payload;
}

describe("sign-in", () => {
  it("describes itself", async () => {
    const answer = await fetch(`${google.issuer}/.well-known/openid-configuration`);
    expect(await answer.json()).toMatchObject({
      issuer: google.issuer,
      authorization_endpoint: `${google.issuer}/auth`,
      token_endpoint: `${google.issuer}/token`,
      jwks_uri: `${google.issuer}/jwks`,
    });
  });

  // Browsers check `form-action` at every redirect after a form, and the app's callback redirects on to its frontend.
  it("lets its form lead to any site", async () => {
    const first = await fetch(attempt().url, { redirect: "manual" });
    const cookie = first.headers.getSetCookie().map((line) => line.split(";")[0]);
    const page = await fetch(new URL(first.headers.get("location") ?? "", google.issuer), {
      headers: { cookie: cookie.join("; ") },
    });
    const policy = page.headers.get("content-security-policy") ?? "";
    expect(/form-action ([^;]*)/.exec(policy)?.[1]?.split(" ")).toContain("https:");
  });

  it.each(["basic", "post"] as const)(
    "gives a verifiable ID token for any address (client secret by %s)",
    async (how) => {
      const it = attempt();
      const callback = await driveSignIn(it.url, { email: "new.person@example.com" });
      const query = new URL(callback).searchParams;
      expect(callback.startsWith(CALLBACK)).toBe(true);
      expect(query.get("state")).toBe(it.state);
      const answer = await exchange(callback, it.verifier, how);
      expect(answer.status).toBe(200);
      const { id_token } = (await answer.json()) as { id_token: string };
      const claims = await verify(id_token);
      expect(claims).toMatchObject({
        email: "new.person@example.com",
        email_verified: true,
        name: "New Person",
        nonce: it.nonce,
        azp: CLIENT.clientId,
      });
      expect(claims.sub).toMatch(/^\d{21}$/);
      const again = await exchange(callback, it.verifier, how);
      expect(again.status).toBe(400);
    },
  );

  it("keeps the sub of an address, also after the address changed", async () => {
    const sub = decodeJwt((await idToken("moving@example.com")).token).sub;
    expect(decodeJwt((await idToken("moving@example.com")).token).sub).toBe(sub);
    google.control.renameUser("moving@example.com", "moved@example.com");
    expect(decodeJwt((await idToken("moved@example.com")).token)).toMatchObject({
      sub,
      email: "moved@example.com",
    });
    expect(decodeJwt((await idToken("moving@example.com")).token).sub).not.toBe(sub);
  });

  it("lets one browser sign in as one person after another, and in two tabs at once", async () => {
    const jar = createCookieJar();
    const emailOf = async (it: Attempt, callback: string): Promise<unknown> => {
      const body = (await (await exchange(callback, it.verifier)).json()) as { id_token: string };
      return decodeJwt(body.id_token).email;
    };
    for (const email of ["one@example.com", "two@example.com", "one@example.com"]) {
      const it = attempt();
      expect(await emailOf(it, await driveSignIn(it.url, { email, jar }))).toBe(email);
    }
    const tabs = ["left@example.com", "right@example.com"].map(async (email) => {
      const it = attempt();
      return emailOf(it, await driveSignIn(it.url, { email, jar }));
    });
    expect(await Promise.all(tabs)).toEqual(["left@example.com", "right@example.com"]);
  });

  it("accepts a callback address that was added while running", async () => {
    const added = "http://localhost:5998/callback";
    google.control.addRedirectUri(added);
    const callback = await driveSignIn(attempt({ redirect_uri: added }).url, {
      email: "x@example.com",
    });
    expect(callback.startsWith(added)).toBe(true);
  });

  it("denies when the person does", async () => {
    const it = attempt();
    const query = new URL(await driveSignIn(it.url, { deny: true })).searchParams;
    expect(query.get("error")).toBe("access_denied");
    expect(query.get("state")).toBe(it.state);
  });

  it("refuses a wrong verifier, a wrong secret and an unregistered callback", async () => {
    const it = attempt();
    const callback = await driveSignIn(it.url, { email: "pkce@example.com" });
    expect((await exchange(callback, randomBytes(32).toString("base64url"))).status).toBe(400);
    const foreign = attempt({ redirect_uri: "http://localhost:5999/elsewhere" });
    await expect(driveSignIn(foreign.url, { email: "x@example.com" })).rejects.toThrow(/400/);
  });
});

describe("misbehaviour", () => {
  it.each([
    ["wrong-aud", /aud/],
    ["wrong-iss", /iss/],
    ["iss-lookalike", /iss/],
    ["alg-none", /alg/],
    ["hs256-public-key", /alg/],
    ["unknown-kid", /key/],
    ["jku-header", /key/],
    ["jwk-header", /key/],
    ["bad-signature", /signature/],
    ["expired", /exp/],
    ["nbf-future", /nbf/],
    ["not-a-jwt", /JWS|JWT/],
    ["jwe-shaped", /JWS|JWT/],
    ["crit-header", /crit|recognized/i],
  ] as const)(
    "an ID token with %s is refused by a strict verifier, once",
    async (fault, reason) => {
      google.control.faultyTokens(fault);
      await expect(verify((await idToken("victim@example.com")).token)).rejects.toThrow(reason);
      await expect(verify((await idToken("victim@example.com")).token)).resolves.toBeDefined();
    },
  );

  it.each([
    ["wrong-azp", { azp: "someone-elses-client" }],
    ["wrong-nonce", { nonce: "another-attempts-nonce" }],
    ["email-unverified", { email_verified: false }],
    ["email-verified-string", { email_verified: "true" }],
  ] as const)("%s is well signed but wrong", async (fault, claims) => {
    google.control.faultyTokens(fault);
    expect(await verify((await idToken("victim@example.com")).token)).toMatchObject(claims);
  });

  it("leaves out nonce, address, verification or the whole token on request", async () => {
    for (const [fault, claim] of [
      ["no-nonce", "nonce"],
      ["no-email", "email"],
      ["email-verified-missing", "email_verified"],
      ["no-exp", "exp"],
      ["no-sub", "sub"],
    ] as const) {
      google.control.faultyTokens(fault);
      expect(decodeJwt((await idToken("victim@example.com")).token)).not.toHaveProperty(claim);
    }
    google.control.faultyTokens("missing");
    expect((await idToken("victim@example.com")).token).toBeUndefined();
  });

  it("rotates its keys: the new kid verifies at once, the old one is gone", async () => {
    const old = (await idToken("rotating@example.com")).token;
    const kid = await google.control.rotateKeys();
    const fresh = (await idToken("rotating@example.com")).token;
    expect(decodeProtectedHeader(fresh).kid).toBe(kid);
    await verify(fresh);
    await expect(verify(old)).rejects.toThrow(/key/);
  });

  it("fails whole endpoints on request", async () => {
    const url = `${google.issuer}/jwks`;
    google.control.faultyEndpoint("jwks", "500");
    expect((await fetch(url)).status).toBe(500);
    google.control.faultyEndpoint("jwks", "html");
    expect((await fetch(url)).headers.get("content-type")).toBe("text/html");
    google.control.faultyEndpoint("jwks", "refuse");
    await expect(fetch(url)).rejects.toThrow();
    google.control.faultyEndpoint("jwks", "half");
    await expect(fetch(url).then((answer) => answer.text())).rejects.toThrow();
    google.control.faultyEndpoint("jwks", "hang");
    await expect(fetch(url, { signal: AbortSignal.timeout(300) })).rejects.toThrow();
    expect((await fetch(url)).status).toBe(200);
    const posted = await fetch(`${google.issuer}/_sandbox?token=wrong-aud&times=2`, {
      method: "POST",
    });
    expect(posted.status).toBe(200);
    expect(decodeJwt((await idToken("victim@example.com")).token).aud).not.toBe(CLIENT.clientId);
  });
});
