// Whether somebody is signed in. The access token lives in memory only; the refresh token is a cookie
// that scripts cannot read, so a reload asks the server for a new access token.

/** `starting` until the cookie has been tried; `unreachable` when the server did not answer. */
export type SessionStatus = "starting" | "signedIn" | "signedOut" | "unreachable";

export interface Session {
  readonly status: () => SessionStatus;
  readonly accessToken: () => string | null;
  /** Takes a new access token; null = this tab's sign-in has ended. One of somebody else loads the page anew. */
  readonly accept: (accessToken: string | null) => void;
  /** Signs out here and in the other tabs: the person wanted to. */
  readonly leave: () => void;
  readonly markUnreachable: () => void;
  readonly subscribe: (listener: () => void) => () => void;
}

/** Makes the one session of this tab. Signing out in one tab signs out the others. */
export function createSession(): Session {
  let status: SessionStatus = "starting";
  let accessToken: string | null = null;
  /** Whose data this page shows. */
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
      // Another tab has signed in as somebody else, and the cookie is theirs: nothing on this page is.
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

/** Whom an access token (a JWT) is for. */
function subjectOf(token: string): string {
  const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
  return (JSON.parse(atob(payload)) as { sub: string }).sub;
}
