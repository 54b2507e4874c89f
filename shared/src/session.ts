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

interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly text: string;
}

/** Asks for new tokens; rejects where they do not come in time. */
async function askForTokens(options: SessionOptions, refreshToken: string | null): Promise<Answer> {
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

interface Tokens {
  readonly accessToken: string;
  readonly expiresAt: string;
  /** Of a client without cookies. */
  readonly refreshToken: string | null;
}

/** What `auth.refresh` answered; null of anything else. */
function readTokens(answer: unknown): Tokens | null {
  const accessToken = field(answer, "accessToken");
  const expiresAt = field(answer, "expiresAt");
  const refreshToken = field(answer, "refreshToken");
  if (typeof accessToken !== "string") return null;
  return {
    accessToken,
    expiresAt: typeof expiresAt === "string" ? expiresAt : "",
    refreshToken: typeof refreshToken === "string" ? refreshToken : null,
  };
}

/** The tokens of an answer to a refresh; or `ended`, the server's own "no" to the sign-in; or what else it means. */
function readAnswer({ ok, status, text }: Answer): Tokens | "ended" | "refused" | "unavailable" {
  if (ok) return readTokens(field(field(JSON.parse(text), "result"), "data")) ?? "unavailable";
  // Only the server's own "no" is one; a lost connection, a busy server or a proxy, whatever its status, says none.
  if (status >= 500 || status === 429 || codeIn(text) === null) return "unavailable";
  return status === 401 ? "ended" : "refused";
}

/** Asks a second time at once where no answer comes: it may have been lost, and the token be good for seconds only. */
function askTwice(options: SessionOptions, refreshToken: string | null) {
  const ask = () => askForTokens(options, refreshToken);
  const twice = () => ask().catch(ask);
  return refreshToken === null ? refreshInTurn(twice) : twice();
}

function isKeptByCaller({ getAccessToken, onAccessToken }: SessionOptions): boolean {
  return getAccessToken !== undefined && onAccessToken !== undefined;
}

function hasCookies({ cookies }: SessionOptions): boolean {
  return cookies ?? "document" in globalThis;
}

/** Makes the session. */
export function createSession(options: SessionOptions): ClientSession {
  let held: string | null = null;
  let person: string | null = null;
  let refreshToken = options.refreshToken ?? null;
  let renewing: Promise<Renewal> | null = null;
  let renewedAtMs = 0;
  /** The cookie is another's: asked again before the caller signs in or out, it would be renewed for them with every call. */
  let isForeign = false;
  /** By the caller, at the last call. */
  let given: string | null = null;
  /** So far. A refresh from before one is nobody's. */
  let signOuts = 0;

  function take(tokens: Tokens | null): void {
    if (tokens === null) return;
    if (!isKeptByCaller(options)) held = tokens.accessToken;
    person = subjectOf(tokens.accessToken);
    isForeign = false;
    renewedAtMs = performance.now();
    options.onAccessToken?.(tokens.accessToken, tokens.expiresAt);
    refreshToken = tokens.refreshToken ?? refreshToken;
    if (tokens.refreshToken !== null) options.onRefreshToken?.(tokens.refreshToken);
  }

  /** `person` stays: until the caller asks for a token, nothing here is anybody else's. */
  function end(): Renewal {
    held = null;
    refreshToken = null;
    options.onSignedOut?.();
    return "refused";
  }

  async function refresh(): Promise<Renewal> {
    const signOutsBefore = signOuts;
    try {
      const answer = readAnswer(await askTwice(options, refreshToken));
      // Who has signed out meanwhile is not signed in again by what was on its way.
      if (signOuts !== signOutsBefore) return "refused";
      if (answer === "ended") return end();
      if (typeof answer === "string") return answer;
      isForeign = areTwoPeople(person, subjectOf(answer.accessToken));
      if (isForeign) return end();
      take(answer);
      return "renewed";
    } catch {
      // The refused call's own error is what the caller gets to see.
      return "unavailable";
    }
  }

  /** The renewal that is under way, or a new one. */
  function renewal(sinceMs: number): Promise<Renewal> {
    if (isForeign) return Promise.resolve("refused");
    if (renewedAtMs > sinceMs) return Promise.resolve("renewed");
    if (refreshToken === null && !hasCookies(options)) return Promise.resolve("refused");
    return (renewing ??= refresh().finally(() => (renewing = null)));
  }

  return {
    person: () => person,
    async accessToken() {
      if (held !== null) return held;
      const token = (await options.getAccessToken?.()) ?? null;
      if (token !== null && token !== given) isForeign = false;
      given = token;
      person = subjectOf(token) ?? person;
      return token;
    },
    accept: (answer) => take(readTokens(answer)),
    forget() {
      held = null;
      person = null;
      refreshToken = null;
      isForeign = false;
      signOuts += 1;
    },
    async renew(call) {
      const outcome = await renewal(call.sinceMs);
      return outcome === "renewed" && areTwoPeople(call.person, person) ? "refused" : outcome;
    },
  };
}
