// A client that stays signed in as a browser does: it keeps its cookie, and retries when an answer is lost.
import { createClient } from "../../../shared/src/client.ts";
import { refreshTokenOf, throughGoogle } from "../../support/server.ts";

/** The outcome of a refresh. `lost`: no answer, or one that asks to retry. */
export type Refreshed = "done" | "lost";

/** A client that signs in once and never again. */
export type CookieClient = Awaited<ReturnType<typeof signInWithCookie>>;

/** Signs `email` in at the server at `url`, through its sandbox Google. */
export async function signInWithCookie(url: string, email: string) {
  const tokens = [newTokenOf(await throughGoogle(url, email))];
  let accessToken = "";
  let isRefreshLost = false;
  const api = createClient({
    url: `${url}/api/trpc`,
    cookies: false,
    getAccessToken: () => accessToken,
  });

  /** Refreshes as one tab; resolves with the successor, or null if the answer was lost. */
  async function ask(token: string): Promise<string | null> {
    try {
      const answer = await fetch(`${url}/api/trpc/auth.refresh`, {
        method: "POST",
        headers: { "content-type": "application/json", cookie: `refresh=${token}` },
        body: "{}",
      });
      const text = await answer.text();
      if (answer.status === 503) return null;
      if (answer.status !== 200) throw new LockedOut(`${email}: ${answer.status} ${text}`);
      const { result } = JSON.parse(text) as { result: { data: { accessToken: string } } };
      accessToken = result.data.accessToken;
      return newTokenOf(answer);
    } catch (error) {
      if (error instanceof LockedOut) throw error;
      return null;
    }
  }

  async function refresh(tabs = 1): Promise<Refreshed> {
    const token = tokens.at(-1) ?? "";
    isRefreshLost = true;
    const answers = await Promise.all(Array.from({ length: tabs }, () => ask(token)));
    const successors = new Set(answers.filter((answer) => answer !== null));
    if (successors.size > 1) throw new LockedOut(`${email}: one token has two successors`);
    for (const successor of successors) {
      tokens.push(successor);
      isRefreshLost = false;
    }
    return isRefreshLost ? "lost" : "done";
  }

  await refresh();
  const { user } = await api.auth.me.query();
  return {
    userId: user.id,
    email,
    api,
    /** Every refresh token it received, oldest first; the last one is in its cookie. */
    tokens,
    /** Whether the answer to its last refresh was lost, so that it has to retry with its current token. */
    get isRefreshLost() {
      return isRefreshLost;
    },
    /** Refreshes in `tabs` tabs simultaneously, all with the same cookie. Throws if refused or if the tabs disagree. */
    refresh,
  };
}

/** The server refused a client that did nothing wrong, or gave contradictory answers. */
export class LockedOut extends Error {}

function newTokenOf(answer: Response): string {
  const token = refreshTokenOf(answer);
  if (token !== undefined) return token;
  throw new LockedOut(`no refresh cookie came (${answer.headers.get("location") ?? ""})`);
}
