// What a client knows of its sign-in: the access token in memory, whose it is, and one shared refresh at a time.
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

/** What came of a renewal. `unavailable`: nobody said no, so asking again later may help. */
export type Renewal = "renewed" | "refused" | "unavailable";

/** A call that was refused because its access token had ended. */
export interface RefusedCall {
  /** When it began, by performance.now(): a renewal after that moment counts. */
  readonly sinceMs: number;
  /** Whose call it is (ClientSession.person). */
  readonly person: string | null;
}

/** The sign-in of one client. */
export interface ClientSession {
  /** Whom the tokens last taken or sent are for; null while that is unknown. */
  person(): string | null;
  accessToken(): Promise<string | null>;
  /** Takes what `auth.refresh` answered to the caller, whoever that is now. */
  accept(answer: unknown): void;
  /** Forgets every token, and whose they were. */
  forget(): void;
  /**
   * Renews the access token once for everybody who asks meanwhile. `refused` also when there is nothing to renew with, and
   * when the new token is not the caller's: a browser's cookie is that of whoever signed in last, in any of its tabs.
   */
  renew(call: RefusedCall): Promise<Renewal>;
}

/** Shorter than the server takes the former token for, whose successor got lost on the way: 10 s. */
const REFRESH_TIMEOUT_MS = 8_000;

/** Whom an access token (a JWT) is for; null of any other text. */
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

/** Whether both are known and not the same. */
function areTwoPeople(one: string | null, other: string | null): boolean {
  return one !== null && other !== null && one !== other;
}

/** Asks for new tokens; rejects where they do not come in time. */
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

/** Asks a second time at once where no answer comes: it may have been lost, and the token be good for seconds only. */
function askTwice(options: SessionOptions, refreshToken: string | null) {
  const ask = () => askForTokens(options, refreshToken);
  const twice = () => ask().catch(ask);
  return refreshToken === null ? refreshInTurn(twice) : twice();
}

/** One client's sign-in, as it stands. */
interface State {
  readonly options: SessionOptions;
  /** The access token is the caller's to keep. */
  readonly byCaller: boolean;
  /** A refresh may go by cookie. */
  readonly cookies: boolean;
  held: string | null;
  person: string | null;
  refreshToken: string | null;
  renewing: Promise<Renewal> | null;
  renewedAtMs: number;
  /** The cookie is another's: asked again before the caller signs in or out, it would be renewed for them with every call. */
  isForeign: boolean;
  /** By the caller, at the last call. */
  given: string | null;
  /** So far. A refresh from before one is nobody's. */
  signOuts: number;
}

/** Makes the session. */
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
      return outcome === "renewed" && areTwoPeople(call.person, state.person) ? "refused" : outcome;
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

/** `person` stays: until the caller asks for a token, nothing here is anybody else's. */
function end(state: State): Renewal {
  state.held = null;
  state.refreshToken = null;
  state.options.onSignedOut?.();
  return "refused";
}

async function refresh(state: State): Promise<Renewal> {
  const { options, signOuts } = state;
  try {
    const { ok, status, text } = await askTwice(options, state.refreshToken);
    // Who has signed out meanwhile is not signed in again by what was on its way.
    if (state.signOuts !== signOuts) return "refused";
    if (ok) {
      const tokens = field(field(JSON.parse(text), "result"), "data");
      const accessToken = field(tokens, "accessToken");
      if (typeof accessToken !== "string") return "unavailable";
      state.isForeign = areTwoPeople(state.person, subjectOf(accessToken));
      if (state.isForeign) return end(state);
      accept(state, tokens);
      return "renewed";
    }
    // Only the server's own "no" is one; a lost connection, a busy server or a proxy, whatever its status, says none.
    if (status >= 500 || status === 429 || codeIn(text) === null) return "unavailable";
    return status === 401 ? end(state) : "refused";
  } catch {
    // The refused call's own error is what the caller gets to see.
    return "unavailable";
  }
}

/** The renewal that is under way, or a new one. */
function renewal(state: State, sinceMs: number): Promise<Renewal> {
  if (state.isForeign) return Promise.resolve("refused");
  if (state.renewedAtMs > sinceMs) return Promise.resolve("renewed");
  if (state.refreshToken === null && !state.cookies) return Promise.resolve("refused");
  state.renewing ??= refresh(state).finally(() => {
    state.renewing = null;
  });
  return state.renewing;
}
