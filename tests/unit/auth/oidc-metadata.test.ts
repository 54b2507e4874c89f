// A provider is trusted for its own issuer only, and queried no more often than necessary.
import type { RequestListener } from "node:http";
import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from "jose";
import { describe, expect, it, onTestFinished } from "vitest";
import { fetchJson } from "../../../server/adapters/google/bounded-json.ts";
import { createOidcMetadata, readMetadata } from "../../../server/adapters/google/discovery.ts";
import { serve as open } from "../../support/ports.ts";

async function serve(listener: RequestListener): Promise<string> {
  const { url, close } = await open(listener);
  onTestFinished(close);
  return url;
}

const documentOf = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/auth`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
});

describe("a discovery document", () => {
  const issuer = "https://issuer.example";

  it("names the endpoints, and how the secret is sent", () => {
    expect(readMetadata(documentOf(issuer), issuer)).toEqual({
      authorizationEndpoint: `${issuer}/auth`,
      tokenEndpoint: `${issuer}/token`,
      jwksUri: `${issuer}/jwks`,
      secretInBody: false,
    });
    const post = {
      ...documentOf(issuer),
      token_endpoint_auth_methods_supported: ["client_secret_post"],
    };
    expect(readMetadata(post, issuer).secretInBody).toBe(true);
  });

  it.each<[string, unknown]>([
    ["of another issuer", documentOf("https://evil.example")],
    ["of an issuer with a slash more", { ...documentOf(issuer), issuer: `${issuer}/` }],
    [
      "with an insecure token endpoint",
      { ...documentOf(issuer), token_endpoint: "http://issuer.example/token" },
    ],
    ["with insecure keys", { ...documentOf(issuer), jwks_uri: "http://issuer.example/jwks" }],
    [
      "with a script for an endpoint",
      { ...documentOf(issuer), authorization_endpoint: "javascript:alert(1)" },
    ],
    ["without keys", { ...documentOf(issuer), jwks_uri: undefined }],
    ["that is a list", []],
    ["that is nothing", undefined],
  ])("%s is refused", (_name, document) => {
    expect(() => readMetadata(document, issuer)).toThrow(
      expect.objectContaining({ code: "provider_error" }),
    );
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ["signs by ES256 only", { id_token_signing_alg_values_supported: ["ES256"] }, /RS256.*ES256/],
    ["requires PAR", { require_pushed_authorization_requests: true }, /PAR/],
    ["requires signed requests", { require_signed_request_object: true }, /JAR/],
    [
      "takes client_secret_jwt only",
      { token_endpoint_auth_methods_supported: ["client_secret_jwt"] },
      /client_secret_basic.*client_secret_jwt/,
    ],
    ["has no claim email", { claims_supported: ["sub", "email_verified"] }, /claim email/],
    ["has no claim email_verified", { claims_supported: ["sub", "email"] }, /email_verified/],
    ["has no scope email", { scopes_supported: ["openid"] }, /scope email/],
    ["has no code flow", { response_types_supported: ["id_token"] }, /code flow/],
    ["answers in a form only", { response_modes_supported: ["form_post"] }, /query/],
    ["has no PKCE by S256", { code_challenge_methods_supported: ["plain"] }, /S256/],
    ["has no grant of codes", { grant_types_supported: ["implicit"] }, /authorization_code/],
  ])("of an issuer that %s names the reason", (_name, demand, reason) => {
    const read = () => readMetadata({ ...documentOf(issuer), ...demand }, issuer);
    expect(read).toThrow(reason);
    expect(read).toThrow(expect.objectContaining({ code: "provider_error" }));
    expect(read).toThrow(issuer);
  });

  it("names every reason at once", () => {
    const demands = {
      require_pushed_authorization_requests: true,
      id_token_signing_alg_values_supported: ["EdDSA"],
    };
    expect(() => readMetadata({ ...documentOf(issuer), ...demands }, issuer)).toThrow(/PAR.*EdDSA/);
  });

  it("of an issuer that offers more than is needed is taken", () => {
    const offers = {
      id_token_signing_alg_values_supported: ["ES256", "RS256"],
      response_modes_supported: ["form_post", "query"],
      claims_supported: ["sub", "email", "email_verified"],
      require_pushed_authorization_requests: false,
    };
    expect(readMetadata({ ...documentOf(issuer), ...offers }, issuer).secretInBody).toBe(false);
  });

  it("is fetched once for many, and kept when the provider goes away", async () => {
    let asked = 0;
    let isUnavailable = false;
    let nowMs = 0;
    const url = await serve((_request, response) => {
      asked += 1;
      if (isUnavailable) response.writeHead(500).end();
      else response.end(JSON.stringify(documentOf(url)));
    });
    const published = createOidcMetadata({ issuer: url, now: () => nowMs });
    isUnavailable = true;
    await expect(published.metadata()).rejects.toMatchObject({ code: "provider_unavailable" });
    isUnavailable = false;
    await Promise.all(Array.from({ length: 20 }, () => published.metadata()));
    expect(asked).toBe(2);
    nowMs += 2 * 3_600_000;
    isUnavailable = true;
    expect((await published.metadata()).tokenEndpoint).toBe(`${url}/token`);
    expect(asked).toBe(3);
  });
});

describe("the provider's keys", () => {
  it("follow a rotation at once, and made-up key ids cost one request a second at most", async () => {
    const make = async (kid: string) => {
      const pair = await generateKeyPair("RS256", { extractable: true });
      const token = await new SignJWT({})
        .setProtectedHeader({ alg: "RS256", kid })
        .sign(pair.privateKey);
      return { token, jwk: { ...(await exportJWK(pair.publicKey)), kid } };
    };
    const [old, fresh, unknown] = [await make("old"), await make("fresh"), await make("unknown")];
    let current = old.jwk;
    let fetched = 0;
    const url = await serve((request, response) => {
      if (request.url === "/jwks") {
        fetched += 1;
        response.end(JSON.stringify({ keys: [current] }));
      } else response.end(JSON.stringify(documentOf(url)));
    });
    const published = createOidcMetadata({ issuer: url, now: Date.now });
    await jwtVerify(old.token, published.keys());
    current = fresh.jwk;
    await jwtVerify(fresh.token, published.keys());
    expect(fetched).toBe(2);
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, () => jwtVerify(unknown.token, published.keys())),
    );
    expect(results.every((result) => result.status === "rejected")).toBe(true);
    expect(fetched).toBeLessThanOrEqual(4);
    // No one with a valid key was turned away in the meantime.
    await jwtVerify(fresh.token, published.keys());
  });
});

describe("fetchJson", () => {
  const bounds = { timeoutMs: 500, maxBytes: 1_000 };

  it("ends when the body trickles for ever", async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(" "), 20);
      response.on("close", () => clearInterval(timer));
    });
    await expect(fetchJson(new URL(url), {}, bounds)).rejects.toThrow("no answer");
  });

  it("stops reading what is too long", async () => {
    const url = await serve((_request, response) => {
      response.end("x".repeat(5_000_000));
    });
    const patient = { ...bounds, timeoutMs: 10_000 };
    await expect(fetchJson(new URL(url), {}, patient)).rejects.toThrow("exceeds 1000 bytes");
  });

  it("follows nobody elsewhere, least of all with a secret in its hands", async () => {
    const seen: string[] = [];
    const thief = await serve((request, response) => {
      seen.push(request.headers.authorization ?? "");
      response.end("{}");
    });
    const url = await serve((_request, response) => {
      response.writeHead(307, { Location: thief }).end();
    });
    const headers = { Authorization: "Basic secret" };
    await expect(fetchJson(new URL(url), { method: "POST", headers }, bounds)).rejects.toThrow(
      "no answer",
    );
    expect(seen).toEqual([]);
  });

  it("says which status it was and whether it was JSON", async () => {
    const url = await serve((_request, response) => {
      response.writeHead(502, { "Content-Type": "text/html" }).end("<html>");
    });
    const patient = { ...bounds, timeoutMs: 10_000 };
    expect(await fetchJson(new URL(url), {}, patient)).toEqual({ status: 502, json: undefined });
  });
});
