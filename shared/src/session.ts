// A client's sign-in: the access token in memory, whose it is, and a single shared refresh at a time.
import { codeIn, field } from "./refusal.ts";
import { refreshInTurn } from "./turns.ts";

/** How the caller and the client share the sign-in. See SkyworkClientOptions. */
export interface SessionOptions {
  readonly url: string;
  readonly getAccessToken?: () => string | null | undefined | Promise<string | null | undefined>;
  readonly onAccessToken?: (accessToken: string, expiresAt: string) => void;
  readonly refreshToken?: string;
  readonly onRefreshToken?: (refreshToken: string) => void;
  readonly onSignedOut?: () => void;
  readonly cookies?: boolean;
  readonly fetch: typeof globalThis.fetch;
}

/** The outcome of a renewal. `unavailable`: the server did not refuse, so a later retry may succeed. */
export type Renewal = "renewed" | "refused" | "unavailable";

/** A call that was refused because its access token had expired. */
export interface RefusedCall {
  /** When it began, by performance.now(): any renewal after that moment serves it. */
  readonly sinceMs: number;
  /** Whose call it is (ClientSession.person). */
  readonly person: string | null;
}

/** The sign-in of one client. */
export interface ClientSession {
  /** Returns the user of the tokens last accepted or sent; null while unknown. */
  person(): string | null;
  accessToken(): Promise<string | null>;
  /** Accepts the result of the caller's own `auth.refresh`, whichever user it is for. */
  accept(answer: unknown): void;
  /** Forgets every token, and which user they belonged to. */
  forget(): void;
  /**
   * Renews the access token, once for all calls that ask meanwhile. Resolves to `refused` also when there is nothing to
   * renew with, and when the new token is not that of the call's user: a browser's cookie belongs to the last sign-in
   * in any of its tabs.
   */
  renew(call: RefusedCall): Promise<Renewal>;
}

/** Shorter than the 10 s for which the server still accepts a token whose successor was lost in transit. */
const REFRESH_TIMEOUT_MS = 8_000;

/** Returns the subject of an access token (a JWT); null for anything else. */
export function subjectOf(token: unknown): string | null {
  if (typeof token !== "string") return null;
  try {
    const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const subject = field(JSON.parse(atob(payload)), "sub");
    return typeof subject === "string" ? subject : null;
  } catch {
    return null;
  }
}

/** Whether both are known and differ. */
function areDifferentUsers(one: string | null, other: string | null): boolean {
  return one !== null && other !== null && one !== other;
}

/** Requests new tokens; rejects if they do not arrive in time. */
async function askForTokens(
  options: SessionOptions,
  refreshToken: string | null,
): Promise<{ ok: boolean; status: number; text: string }> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), REFRESH_TIMEOUT_MS);
  try {
    const answer = await options.fetch(`${options.url}/auth.refresh`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      credentials: "include",
      body: JSON.stringify(refreshToken === null ? {} : { refreshToken }),
      signal: limit.signal,
    });
    return { ok: answer.ok, status: answer.status, text: await answer.text() };
  } finally {
    clearTimeout(timer);
  }
}

/** Retries immediately if no response arrives: it may have been lost, and the old token expires within seconds. */
function requestWithRetry(options: SessionOptions, refreshToken: string | null) {
  const ask = () => askForTokens(options, refreshToken);
  const twice = () => ask().catch(ask);
  return refreshToken === null ? refreshInTurn(twice) : twice();
}

/** The current state of one client's sign-in. */
interface State {
  readonly options: SessionOptions;
  /** Whether the caller keeps the access token. */
  readonly byCaller: boolean;
  /** Whether a refresh may use a cookie. */
  readonly cookies: boolean;
  held: string | null;
  person: string | null;
  refreshToken: string | null;
  renewing: Promise<Renewal> | null;
  renewedAtMs: number;
  /**
   * Whether the cookie is another user's. If so, no refresh is tried until the caller signs in or out: it would extend
   * that user's sign-in with every call.
   */
  isForeign: boolean;
  /** The access token that the caller gave at the last call. */
  given: string | null;
  /** The number of sign-outs so far. A refresh begun before one is discarded. */
  signOuts: number;
}

/** Creates the session. */
export function createSession(options: SessionOptions): ClientSession {
  const state: State = {
    options,
    byCaller: options.getAccessToken !== undefined && options.onAccessToken !== undefined,
    cookies: options.cookies ?? "document" in globalThis,
    held: null,
    person: null,
    refreshToken: options.refreshToken ?? null,
    renewing: null,
    renewedAtMs: 0,
    isForeign: false,
    given: null,
    signOuts: 0,
  };
  return {
    person: () => state.person,
    accessToken: () => accessTokenOf(state),
    accept: (answer) => accept(state, answer),
    forget() {
      Object.assign(state, { held: null, person: null, refreshToken: null, isForeign: false });
      state.signOuts += 1;
    },
    async renew(call) {
      const outcome = await renewal(state, call.sinceMs);
      return outcome === "renewed" && areDifferentUsers(call.person, state.person)
        ? "refused"
        : outcome;
    },
  };
}

async function accessTokenOf(state: State): Promise<string | null> {
  if (state.held !== null) return state.held;
  const given = (await state.options.getAccessToken?.()) ?? null;
  if (given !== null && given !== state.given) state.isForeign = false;
  state.given = given;
  state.person = subjectOf(given) ?? state.person;
  return given;
}

function accept(state: State, answer: unknown): void {
  const { options, byCaller } = state;
  const accessToken = field(answer, "accessToken");
  const expiresAt = field(answer, "expiresAt");
  const next = field(answer, "refreshToken");
  if (typeof accessToken !== "string") return;
  if (!byCaller) state.held = accessToken;
  state.person = subjectOf(accessToken);
  state.isForeign = false;
  state.renewedAtMs = performance.now();
  options.onAccessToken?.(accessToken, typeof expiresAt === "string" ? expiresAt : "");
  if (typeof next !== "string") return;
  state.refreshToken = next;
  options.onRefreshToken?.(next);
}

/** Ends the sign-in. `person` is kept: until the caller obtains a token, nothing here belongs to any other user. */
function end(state: State): Renewal {
  state.held = null;
  state.refreshToken = null;
  state.options.onSignedOut?.();
  return "refused";
}

async function refresh(state: State): Promise<Renewal> {
  const { options, signOuts } = state;
  try {
    const { ok, status, text } = await requestWithRetry(options, state.refreshToken);
    // If the caller has signed out meanwhile, tokens that were in transit must not sign them in again.
    if (state.signOuts !== signOuts) return "refused";
    if (ok) {
      const tokens = field(field(JSON.parse(text), "result"), "data");
      const accessToken = field(tokens, "accessToken");
      if (typeof accessToken !== "string") return "unavailable";
      state.isForeign = areDifferentUsers(state.person, subjectOf(accessToken));
      if (state.isForeign) return end(state);
      accept(state, tokens);
      return "renewed";
    }
    // Only the server's own refusal counts; a lost connection, a busy server or a proxy, whatever its status, refuses
    // nothing.
    if (status >= 500 || status === 429 || codeIn(text) === null) return "unavailable";
    return status === 401 ? end(state) : "refused";
  } catch {
    // The caller gets the refused call's own error instead.
    return "unavailable";
  }
}

/** Returns the renewal in flight or starts one, unless none is needed or possible. */
function renewal(state: State, sinceMs: number): Promise<Renewal> {
  if (state.isForeign) return Promise.resolve("refused");
  if (state.renewedAtMs > sinceMs) return Promise.resolve("renewed");
  if (state.refreshToken === null && !state.cookies) return Promise.resolve("refused");
  state.renewing ??= refresh(state).finally(() => {
    state.renewing = null;
  });
  return state.renewing;
}
