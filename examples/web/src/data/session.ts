// The sign-in state. The access token lives in memory only, and the refresh token is a cookie that scripts cannot read,
// so a reload asks the server for a new access token.

/** `starting` until the cookie has been tried; `unreachable` when the server did not respond. */
export type SessionStatus = "starting" | "signedIn" | "signedOut" | "unreachable";

export interface Session {
  readonly status: () => SessionStatus;
  readonly accessToken: () => string | null;
  /** Stores a new access token; null = this tab's session has ended. A different user's token reloads the page. */
  readonly accept: (accessToken: string | null) => void;
  /** Signs out here and in the other tabs, at the user's request. */
  readonly leave: () => void;
  readonly markUnreachable: () => void;
  readonly subscribe: (listener: () => void) => () => void;
}

/** Creates the session of this tab. Signing out in one tab signs out the others. */
export function createSession(): Session {
  let status: SessionStatus = "starting";
  let accessToken: string | null = null;
  /** The user whose data this page shows. */
  let userId: string | null = null;
  const listeners = new Set<() => void>();
  const otherTabs = new BroadcastChannel("skywork-session");

  function become(next: SessionStatus, token: string | null): void {
    accessToken = token;
    if (next === "signedOut") userId = null;
    if (next === status) return;
    status = next;
    for (const listener of listeners) listener();
  }

  otherTabs.onmessage = (event) => {
    if (event.data === "signed-out") become("signedOut", null);
  };

  return {
    status: () => status,
    accessToken: () => accessToken,
    accept: (token) => {
      if (token === null) return become("signedOut", null);
      const next = subjectOf(token);
      // Another tab has signed in as a different user. The cookie is now theirs, but this page's data is not.
      if (userId !== null && next !== userId) return window.location.reload();
      userId = next;
      become("signedIn", token);
    },
    leave: () => {
      otherTabs.postMessage("signed-out");
      become("signedOut", null);
    },
    markUnreachable: () => become("unreachable", null),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The user id (`sub`) of an access token, which is a JWT. */
function subjectOf(token: string): string {
  const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
  return (JSON.parse(atob(payload)) as { sub: string }).sub;
}
