// What a client knows of its sign-in: the access token in memory, and one shared refresh at a time.
import type { AppErrorData } from "./errors.ts";

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

/** The sign-in of one client. */
export interface ClientSession {
  accessToken(): Promise<string | null>;
  /** Takes what `auth.refresh` answered, whoever called it. */
  accept(answer: unknown): void;
  /** Forgets every token. */
  forget(): void;
  /**
   * Renews the access token once for everybody who asks meanwhile. `sinceMs`: when the refused call began, by
   * performance.now(); a renewal after that moment counts. `refused` also when there is nothing to renew with.
   */
  renew(sinceMs: number): Promise<Renewal>;
}

/** Shorter than the server takes the former token for, whose successor got lost on the way: 10 s. */
const REFRESH_TIMEOUT_MS = 8_000;

/** Codes that a new access token may mend. */
const RENEWABLE: readonly string[] = [
  "UNAUTHENTICATED",
  "TOKEN_EXPIRED",
] satisfies AppErrorData["code"][];

/** The code of an error as this API sends it, from `data.app`; null for any other error. */
export function codeOf(data: unknown): string | null {
  const app = field(data, "app");
  const code = field(app, "code");
  return typeof code === "string" ? code : null;
}

/** Whether a refused call is worth a refresh. */
export function isRenewable(data: unknown): boolean {
  return RENEWABLE.includes(codeOf(data) ?? "");
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined;
}

/** Asks for new tokens; rejects where they do not come in time. */
async function askForTokens(
  options: SessionOptions,
  refreshToken: string | null,
): Promise<{ answer: Response; text: string }> {
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
    return { answer, text: await answer.text() };
  } finally {
    clearTimeout(timer);
  }
}

/** Makes the session. */
export function createSession(options: SessionOptions): ClientSession {
  const byCaller = options.getAccessToken !== undefined && options.onAccessToken !== undefined;
  const cookies = options.cookies ?? "document" in globalThis;
  let held: string | null = null;
  let refreshToken = options.refreshToken ?? null;
  let renewing: Promise<Renewal> | null = null;
  let renewedAtMs = 0;

  function accept(answer: unknown): void {
    const accessToken = field(answer, "accessToken");
    const expiresAt = field(answer, "expiresAt");
    const next = field(answer, "refreshToken");
    if (typeof accessToken !== "string") return;
    if (!byCaller) held = accessToken;
    renewedAtMs = performance.now();
    options.onAccessToken?.(accessToken, typeof expiresAt === "string" ? expiresAt : "");
    if (typeof next !== "string") return;
    refreshToken = next;
    options.onRefreshToken?.(next);
  }

  async function refresh(): Promise<Renewal> {
    const ask = () => askForTokens(options, refreshToken);
    try {
      // A second time at once: the answer may have been lost, and the token be good for seconds only.
      const { answer, text } = await ask().catch(ask);
      if (answer.ok) {
        accept(field(field(JSON.parse(text), "result"), "data"));
        return "renewed";
      }
      if (answer.status >= 500 || answer.status === 429) return "unavailable";
      // Only the server's own "no" is one; a lost connection, a busy server or a proxy, whatever its status, says none.
      if (codeOf(field(field(JSON.parse(text), "error"), "data")) === null) return "unavailable";
      if (answer.status === 401) {
        held = null;
        refreshToken = null;
        options.onSignedOut?.();
      }
      return "refused";
    } catch {
      // The refused call's own error is what the caller gets to see.
      return "unavailable";
    }
  }

  return {
    accessToken: async () => held ?? (await options.getAccessToken?.()) ?? null,
    accept,
    forget() {
      held = null;
      refreshToken = null;
    },
    renew(sinceMs) {
      if (renewedAtMs > sinceMs) return Promise.resolve("renewed");
      if (refreshToken === null && !cookies) return Promise.resolve("refused");
      renewing ??= refresh().finally(() => {
        renewing = null;
      });
      return renewing;
    },
  };
}
