// The controls of the Google stand-in: what a test, or a person with curl, can make happen.
import type { ServerResponse } from "node:http";
import type { JWTPayload } from "jose";
import {
  ENDPOINT_FAULTS,
  ENDPOINTS,
  type EndpointFault,
  type GoogleEndpoint,
} from "./endpoints.ts";
import type { KeyRing } from "./keys.ts";
import { TOKEN_FAULTS, type TokenFault } from "./tokens.ts";
import type { GoogleUser, Users } from "./users.ts";

export interface GoogleControl {
  users(): GoogleUser[];
  /** Adds or replaces a user by `sub`. */
  setUser(user: GoogleUser): void;
  /** Registers another callback URL, for an app that learns its port after the sandbox has started. */
  addRedirectUri(uri: string): void;
  /** Changes a user's address; the `sub` stays. */
  renameUser(email: string, newEmail: string): GoogleUser;
  /** Makes the next `times` ID tokens wrong in this way. */
  faultyTokens(fault: TokenFault, times?: number): void;
  /** Makes the next `times` responses of an endpoint fail; `Infinity` = until `wellBehaved()`. */
  faultyEndpoint(endpoint: GoogleEndpoint, fault: EndpointFault, times?: number): void;
  /** Overrides claims of every token until `wellBehaved()`. */
  overrideClaims(claims: JWTPayload): void;
  /** Seconds added to `iat` and `exp` of every token. */
  setClockOffset(seconds: number): void;
  rotateKeys(options?: { keepOld?: boolean }): Promise<string>;
  /** The number of requests so far, per endpoint. */
  counts(): { [endpoint in GoogleEndpoint]: number };
  wellBehaved(): void;
}

/** The faults that the controls set and the server applies. */
export interface GoogleFaults {
  tokens: TokenFault[];
  claims: JWTPayload;
  clockOffsetSeconds: number;
  endpoints: Map<GoogleEndpoint, { fault: EndpointFault; left: number }>;
  counts: { [endpoint in GoogleEndpoint]: number };
}

/** No faults, and all counts at 0. */
export function noFaults(): GoogleFaults {
  return {
    tokens: [],
    claims: {},
    clockOffsetSeconds: 0,
    endpoints: new Map(),
    counts: { discovery: 0, jwks: 0, token: 0, auth: 0 },
  };
}

/** The fault set for this request to an endpoint, if any. Uses one of its times. */
export function takeFault(
  faults: GoogleFaults,
  endpoint: GoogleEndpoint,
): EndpointFault | undefined {
  const planned = faults.endpoints.get(endpoint);
  if (planned === undefined) return undefined;
  planned.left -= 1;
  if (planned.left <= 0) faults.endpoints.delete(endpoint);
  return planned.fault;
}

/** Creates the controls. */
export function createControl(given: {
  users: Users;
  ring: KeyRing;
  faults: GoogleFaults;
  redirectUris: Set<string>;
}): GoogleControl {
  const { users, ring, faults, redirectUris } = given;
  return {
    users: () => users.all(),
    setUser: users.set,
    addRedirectUri: (uri) => {
      redirectUris.add(uri);
    },
    renameUser: users.rename,
    faultyTokens: (fault, times = 1) => {
      for (let i = 0; i < Math.min(times, 1000); i += 1) faults.tokens.push(fault);
    },
    faultyEndpoint: (endpoint, fault, times = 1) => {
      faults.endpoints.set(endpoint, { fault, left: times });
    },
    overrideClaims: (claims) => {
      faults.claims = claims;
    },
    setClockOffset: (seconds) => {
      faults.clockOffsetSeconds = seconds;
    },
    rotateKeys: async ({ keepOld = false } = {}) => (await ring.rotate(keepOld)).kid,
    counts: () => ({ ...faults.counts }),
    wellBehaved: () => {
      faults.tokens = [];
      faults.claims = {};
      faults.clockOffsetSeconds = 0;
      faults.endpoints.clear();
    },
  };
}

function isFault<T extends string>(list: readonly T[], value: string | null): value is T {
  return list.some((known) => known === value);
}

/** Runs the command in a query, e.g. `?token=wrong-aud&times=2`. Returns false when there is no known command. */
async function runCommand(control: GoogleControl, query: URLSearchParams): Promise<boolean> {
  const times = Number(query.get("times") ?? "1") || 1;
  const token = query.get("token");
  const fault = query.get("fault");
  const endpoint = Object.values(ENDPOINTS).find((name) => name === query.get("endpoint"));
  const redirectUri = query.get("redirectUri") ?? "";
  if (isFault(TOKEN_FAULTS, token)) control.faultyTokens(token, times);
  else if (endpoint !== undefined && isFault(ENDPOINT_FAULTS, fault)) {
    control.faultyEndpoint(endpoint, fault, times);
  } else if (query.has("rotate")) {
    await control.rotateKeys({ keepOld: query.get("rotate") === "keep" });
  } else if (query.has("rename")) {
    control.renameUser(query.get("rename") ?? "", query.get("to") ?? "");
  } else if (URL.canParse(redirectUri)) control.addRedirectUri(redirectUri);
  else if (query.has("reset")) control.wellBehaved();
  else return false;
  return true;
}

/** Handles `/_sandbox`: GET returns the state and the known commands, POST runs the command in the query. */
export async function handleControl(
  control: GoogleControl,
  faults: GoogleFaults,
  res: ServerResponse,
  { method, query }: { method: string | undefined; query: URLSearchParams },
): Promise<void> {
  const known = {
    commands: [
      "token=FAULT&times=n",
      "endpoint=NAME&fault=FAULT&times=n",
      "rotate=1 (or keep)",
      "rename=ADDRESS&to=ADDRESS",
      "redirectUri=URL",
      "reset=1",
    ],
    tokenFaults: TOKEN_FAULTS,
    endpoints: Object.values(ENDPOINTS),
    endpointFaults: ENDPOINT_FAULTS,
  };
  const posted = method === "POST";
  const done = posted && (await runCommand(control, query));
  const state = {
    users: control.users(),
    counts: faults.counts,
    waiting: { tokens: faults.tokens, endpoints: [...faults.endpoints] },
  };
  const answer = done
    ? { ok: true }
    : posted
      ? { error: "Nothing known was asked for.", known }
      : { ...state, known };
  res
    .writeHead(posted && !done ? 400 : 200, { "Content-Type": "application/json" })
    .end(`${JSON.stringify(answer, null, 2)}\n`);
}
