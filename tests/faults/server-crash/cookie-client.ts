// A client that stays signed in as a browser does: it keeps its cookie, and asks again when an answer was lost.
import { createClient } from "../../../shared/src/client.ts";
import { refreshTokenOf, throughGoogle } from "../../support/server.ts";

/** What came of one refresh. `lost`: no answer, or one that says to try again. */
export type Refreshed = "done" | "lost";

/** Somebody who signed in once and never again. */
export type CookieClient = Awaited<ReturnType<typeof signInWithCookie>>;

/** Signs `email` in at the server of `url`, through its sandbox Google. */
export async function signInWithCookie(url: string, email: string) {
  const tokens = [newTokenOf(await throughGoogle(url, email))];
  let accessToken = "";
  let isRefreshLost = false;
  const api = createClient({
    url: `${url}/api/trpc`,
    cookies: false,
    getAccessToken: () => accessToken,
  });

  /** One tab's refresh: the successor, or null when the answer was lost. */
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
    /** Every refresh token it was given, oldest first; the last one is in its cookie. */
    tokens,
    /** Whether the answer to its last refresh was lost: it has to ask again with the token it has. */
    get isRefreshLost() {
      return isRefreshLost;
    },
    /** Refreshes in `tabs` tabs at once, all with the same cookie. Throws when refused, or when the tabs disagree. */
    refresh,
  };
}

/** The server said no to somebody who did nothing wrong, or said two things. */
export class LockedOut extends Error {}

function newTokenOf(answer: Response): string {
  const token = refreshTokenOf(answer);
  if (token !== undefined) return token;
  throw new LockedOut(`no refresh cookie came (${answer.headers.get("location") ?? ""})`);
}
