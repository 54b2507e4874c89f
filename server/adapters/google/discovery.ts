// What an OpenID provider publishes about itself: its endpoints and its signing keys, fetched, checked and cached.
import { setTimeout as sleep } from "node:timers/promises";
import { createLocalJWKSet, errors, type JWTVerifyGetKey } from "jose";
import { z } from "zod";
import { SignInFailure } from "../../auth/sign-in/sign-in-error.ts";
import { HOUR_MS } from "../../lib/time.ts";
import { fetchJson, NoResponseError } from "./bounded-json.ts";
import { capabilitiesSchema, unsupportedReasons } from "./issuer-support.ts";

const METADATA_MS = HOUR_MS;
const KEYS_MS = 600_000;
/** An unknown key triggers a refetch, but at most this often: a token with a new key waits, it is not refused. */
const KEYS_APART_MS = 1_000;
const BOUNDS = { timeoutMs: 4_000, maxBytes: 256 * 1024 };

const metadataSchema = z.object({
  issuer: z.string(),
  authorization_endpoint: z.url(),
  token_endpoint: z.url(),
  jwks_uri: z.url(),
  ...capabilitiesSchema.shape,
});
const jwksSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(100) });

/** The endpoints sign-in uses. */
export interface Metadata {
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
  readonly jwksUri: string;
  /** RFC 6749 2.3.1: HTTP Basic unless the provider only takes the secret in the body. */
  readonly secretInBody: boolean;
}

/** An issuer's metadata and keys. Both throw SignInFailure when they cannot be obtained. */
export interface OidcMetadata {
  metadata(): Promise<Metadata>;
  /** A key resolver for jose that follows key rotation immediately. */
  keys(): JWTVerifyGetKey;
}

/** Returns an issuer's metadata and keys, read on demand (OpenID Connect Discovery 4, JWKS). */
export function createOidcMetadata(options: { issuer: string; now: () => number }): OidcMetadata {
  const { issuer, now } = options;
  const metadata = cached(METADATA_MS, now, () => fetchMetadata(issuer));
  const keySet = cached(KEYS_MS, now, async () => {
    const { jwksUri } = await metadata.get();
    const jwks = jwksSchema.safeParse(await fetchDocument(jwksUri));
    if (!jwks.success)
      throw new SignInFailure("provider_error", "the provider's keys are malformed");
    return createLocalJWKSet(jwks.data);
  });

  return {
    metadata: metadata.get,
    keys: () => async (header, token) => {
      try {
        return await (await keySet.get())(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        // jose's remote set would refuse a key that was rotated in within its 30 s cooldown.
        return (await keySet.renew(KEYS_APART_MS))(header, token);
      }
    },
  };
}

async function fetchMetadata(issuer: string): Promise<Metadata> {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  return readMetadata(await fetchDocument(url), issuer);
}

/** Returns the checked contents of a discovery document. Throws SignInFailure provider_error. */
export function readMetadata(text: unknown, issuer: string): Metadata {
  const found = metadataSchema.safeParse(text);
  if (!found.success) {
    throw new SignInFailure("provider_error", "the discovery document is malformed", found.error);
  }
  const document = found.data;
  if (document.issuer !== issuer) {
    throw new SignInFailure("provider_error", "the discovery document is of another issuer");
  }
  const endpoints = [document.authorization_endpoint, document.token_endpoint, document.jwks_uri];
  // An https issuer must not send us to endpoints where codes and secrets travel unencrypted.
  const { protocol } = new URL(issuer);
  if (endpoints.some((endpoint) => !["https:", protocol].includes(new URL(endpoint).protocol))) {
    throw new SignInFailure("provider_error", "the discovery document names insecure endpoints");
  }
  const reasons = unsupportedReasons(document);
  if (reasons.length > 0) {
    throw new SignInFailure(
      "provider_error",
      `sign-in cannot work with the issuer ${issuer}: ${reasons.join("; ")}`,
    );
  }
  const methods = document.token_endpoint_auth_methods_supported ?? ["client_secret_basic"];
  return {
    authorizationEndpoint: document.authorization_endpoint,
    tokenEndpoint: document.token_endpoint,
    jwksUri: document.jwks_uri,
    secretInBody:
      !methods.includes("client_secret_basic") && methods.includes("client_secret_post"),
  };
}

async function fetchDocument(url: string): Promise<unknown> {
  try {
    const { status, json } = await fetchJson(new URL(url), {}, BOUNDS);
    if (status >= 500) throw new SignInFailure("provider_unavailable", `answered ${status}`);
    if (status !== 200 || json === undefined) {
      throw new SignInFailure("provider_error", `answered ${status} without a JSON document`);
    }
    return json;
  } catch (error) {
    if (!(error instanceof NoResponseError)) throw error;
    throw new SignInFailure("provider_unavailable", "the provider does not answer", error);
  }
}

/** A value fetched once for concurrent callers and cached for `keepMs`. If a fetch fails, a stale value is used. */
function cached<T>(keepMs: number, now: () => number, fetchValue: () => Promise<T>) {
  let value: { readonly result: T; readonly atMs: number } | null = null;
  let fetching: Promise<T> | null = null;
  let lastFetchMs = Number.NEGATIVE_INFINITY;

  function fetchOnce(): Promise<T> {
    lastFetchMs = now();
    fetching ??= fetchValue()
      .then((result) => {
        value = { result, atMs: now() };
        return result;
      })
      .finally(() => {
        fetching = null;
      });
    return fetching;
  }

  return {
    async get(): Promise<T> {
      if (value !== null && now() - value.atMs < keepMs) return value.result;
      try {
        return await fetchOnce();
      } catch (error) {
        if (value !== null) return value.result;
        throw error;
      }
    },
    /** Returns a value fetched after this call, at least `apartMs` after the previous fetch. */
    async renew(apartMs: number): Promise<T> {
      const before = fetching;
      if (before !== null) await before.catch(() => undefined);
      const waitMs = lastFetchMs + apartMs - now();
      if (waitMs > 0) await sleep(Math.min(waitMs, apartMs));
      return fetchOnce();
    },
  };
}
