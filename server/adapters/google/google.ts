// Google (or any OpenID issuer) as the identity provider. The only file that imports arctic.
import { CodeChallengeMethod, OAuth2Client, OAuth2Tokens } from "arctic";
import type { IdentityProvider } from "../../auth/ports.ts";
import { SignInFailure } from "../../auth/sign-in/sign-in-error.ts";
import type { Config } from "../../config/config.ts";
import { withTimeout } from "../../lib/timeout.ts";
import { fetchJson, NoResponseError } from "./bounded-json.ts";
import { issuerAliases, verifyIdToken } from "./id-token.ts";
import { createOidcMetadata, type Metadata, type OidcMetadata } from "./discovery.ts";

const SCOPES = ["openid", "email", "profile"];
/** Limit for a whole exchange: discovery, token and keys together stay under the 10 s a browser may have to wait. */
const EXCHANGE_MS = 9_000;
const TOKEN_BOUNDS = { timeoutMs: 7_000, maxBytes: 64 * 1024 };

interface Deps {
  readonly config: Config["google"];
  readonly now: () => number;
  readonly published: OidcMetadata;
}

/** Returns the provider at `config.issuer`. Nothing is fetched until it is used. */
export function createGoogleIdentityProvider(options: {
  config: Config["google"];
  now: () => number;
}): IdentityProvider {
  const { config, now } = options;
  const published = createOidcMetadata({ issuer: config.issuer, now });
  const deps: Deps = { config, now, published };
  return {
    check: async () => void (await withinExchange(published.metadata())),
    authorizationUrl: (request) => createAuthorizationUrl(deps, request),
    exchange: (request) => exchangeCode(deps, request),
  };
}

async function createAuthorizationUrl(
  { config, published }: Deps,
  request: Parameters<IdentityProvider["authorizationUrl"]>[0],
): Promise<URL> {
  const { state, nonce, codeVerifier, redirectUri } = request;
  const { authorizationEndpoint } = await withinExchange(published.metadata());
  const client = new OAuth2Client(config.clientId, null, redirectUri);
  const url = client.createAuthorizationURLWithPKCE(
    authorizationEndpoint,
    state,
    CodeChallengeMethod.S256,
    codeVerifier,
    SCOPES,
  );
  url.searchParams.set("nonce", nonce);
  return url;
}

async function exchangeCode(
  deps: Deps,
  request: Parameters<IdentityProvider["exchange"]>[0],
): ReturnType<IdentityProvider["exchange"]> {
  const { callbackIssuer } = request;
  // RFC 9207: the response to our request must not come from another issuer (mix-up attack).
  if (callbackIssuer !== undefined && !issuerAliases(deps.config.issuer).includes(callbackIssuer))
    throw new SignInFailure("identity_invalid", "the callback names another issuer");
  return withinExchange(redeemAndVerify(deps, request));
}

async function redeemAndVerify(
  { config, now, published }: Deps,
  { nonce, ...request }: Parameters<IdentityProvider["exchange"]>[0],
): ReturnType<IdentityProvider["exchange"]> {
  const { clientId, issuer } = config;
  const metadata = await published.metadata();
  const idToken = await redeemCode(config, metadata, request).catch((error: unknown) => {
    if (!(error instanceof NoResponseError)) throw error;
    throw new SignInFailure("provider_unavailable", "the token endpoint is silent", error);
  });
  return verifyIdToken(idToken, { issuer, clientId, nonce, keys: published.keys(), nowMs: now() });
}

/** A request of our own: arctic's exchange has no timeout, no size limit, and follows redirects with our secret. */
async function redeemCode(
  { clientId, clientSecret }: Config["google"],
  { tokenEndpoint, secretInBody }: Metadata,
  request: { code: string; codeVerifier: string; redirectUri: string },
): Promise<string> {
  const form = new URLSearchParams({
    grant_type: "authorization_code",
    code: request.code,
    redirect_uri: request.redirectUri,
    code_verifier: request.codeVerifier,
  });
  const headers: Record<string, string> = { "Content-Type": "application/x-www-form-urlencoded" };
  if (secretInBody) {
    form.set("client_id", clientId);
    form.set("client_secret", clientSecret);
  } else {
    // RFC 6749 2.3.1: form-encoded first, then Basic.
    const pair = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
    headers["Authorization"] = `Basic ${Buffer.from(pair).toString("base64")}`;
  }
  const { status, json } = await fetchJson(
    new URL(tokenEndpoint),
    { method: "POST", headers, body: form.toString() },
    TOKEN_BOUNDS,
  );
  return readIdToken(status, json);
}

function readIdToken(status: number, json: unknown): string {
  if (status >= 500 || status === 429) {
    throw new SignInFailure("provider_unavailable", `the token endpoint answered ${status}`);
  }
  if (typeof json !== "object" || json === null) {
    throw new SignInFailure("provider_error", `the token endpoint answered ${status} without JSON`);
  }
  if (status !== 200) {
    if ("error" in json && json.error === "invalid_grant") {
      throw new SignInFailure("code_invalid", "the code is spent, expired or not ours");
    }
    throw new SignInFailure("provider_error", `the token endpoint refused with ${status}`);
  }
  try {
    return new OAuth2Tokens(json).idToken();
  } catch (error) {
    throw new SignInFailure("provider_error", "the token answer holds no ID token", error);
  }
}

/**
 * Resolves as `work` does, or rejects with provider_unavailable when it takes too long. `work` itself is not aborted:
 * it ends by its own bounds.
 */
function withinExchange<T>(work: Promise<T>): Promise<T> {
  return withTimeout(
    work,
    EXCHANGE_MS,
    () => new SignInFailure("provider_unavailable", `no answer within ${EXCHANGE_MS} ms`),
  );
}
