// Owns whether somebody is signed in. The access token lives in memory only; the refresh token is a cookie
// that scripts cannot read, so a reload asks the server for a new access token.

/** `starting` until the cookie has been tried; `unreachable` when the server did not answer. */
export type SessionStatus = "starting" | "signedIn" | "signedOut" | "unreachable";

export interface Session {
  readonly status: () => SessionStatus;
  readonly accessToken: () => string | null;
  /** Takes a new access token; null = signed out, here and in the other tabs. */
  readonly accept: (accessToken: string | null) => void;
  readonly markUnreachable: () => void;
  readonly subscribe: (listener: () => void) => () => void;
}

/** Makes the one session of this tab. Signing out in one tab signs out the others. */
export function createSession(): Session {
  let status: SessionStatus = "starting";
  let accessToken: string | null = null;
  const listeners = new Set<() => void>();
  const otherTabs = new BroadcastChannel("skywork-session");

  function become(next: SessionStatus, token: string | null): void {
    accessToken = token;
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
      if (token === null && status === "signedIn") otherTabs.postMessage("signed-out");
      become(token === null ? "signedOut" : "signedIn", token);
    },
    markUnreachable: () => become("unreachable", null),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
