// Owns the Google stand-in as a running server: a real OpenID provider behind a front that can misbehave on request.
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { decodeJwt, type JWTPayload } from "jose";
import type { OidcContext } from "oidc-provider";
import { closeServer, hostAllowed, listen, readBody } from "../http.ts";
import { originOf } from "../html.ts";
import { errorPage, showChooser } from "./chooser.ts";
import { createKeyRing } from "./keys.ts";
import { createProvider } from "./provider.ts";
import { signIdToken, TOKEN_FAULTS, type TokenFault } from "./tokens.ts";
import { createUsers, type GoogleUser, SAMPLE_USERS } from "./users.ts";

/** How an endpoint can fail as a whole. */
export const ENDPOINT_FAULTS = [
  "hang",
  "500",
  "html",
  "refuse",
  "half",
  "empty-json",
  "slow",
  "error-markup",
] as const;
export type EndpointFault = (typeof ENDPOINT_FAULTS)[number];
export type GoogleEndpoint = "discovery" | "jwks" | "token" | "auth";

export interface GoogleSandboxOptions {
  /** 0 (default) = any free port. */
  port?: number;
  host?: string;
  clientId: string;
  clientSecret: string;
  /** Exact callback addresses, as registered at Google. */
  redirectUris: string[];
  users?: GoogleUser[];
  /** Hosts beside loopback under which this server may be called. */
  allowHosts?: string[];
}

export interface GoogleControl {
  users(): GoogleUser[];
  /** Adds or replaces a person by `sub`. */
  setUser(user: GoogleUser): void;
  /** Registers another callback address (an app that learned its port after the sandbox started). */
  addRedirectUri(uri: string): void;
  /** The person keeps `sub` and gets another address. */
  renameUser(email: string, newEmail: string): GoogleUser;
  /** The next `times` ID tokens are wrong in this way. */
  faultyTokens(fault: TokenFault, times?: number): void;
  /** The next `times` answers of an endpoint fail; `Infinity` = until `wellBehaved()`. */
  faultyEndpoint(endpoint: GoogleEndpoint, fault: EndpointFault, times?: number): void;
  /** Replaces claims of every token until `wellBehaved()`. */
  overrideClaims(claims: JWTPayload): void;
  /** Seconds added to `iat` and `exp` of every token. */
  setClockOffset(seconds: number): void;
  rotateKeys(options?: { keepOld?: boolean }): Promise<string>;
  /** Requests answered so far, per endpoint. */
  counts(): { [endpoint in GoogleEndpoint]: number };
  wellBehaved(): void;
}

export interface GoogleSandbox {
  issuer: string;
  port: number;
  clientId: string;
  clientSecret: string;
  control: GoogleControl;
  close(): Promise<void>;
}

const SLOW_MS = 3_000;
const ENDPOINTS: { [path: string]: GoogleEndpoint } = {
  "/.well-known/openid-configuration": "discovery",
  "/jwks": "jwks",
  "/token": "token",
  "/auth": "auth",
};

/** Takes the provider's own session away: every sign-in starts afresh, so that accounts can be switched and tabs do not meet. */
function forgetSession(req: IncomingMessage): void {
  const kept = (req.headers.cookie ?? "").split("; ").filter((it) => !it.startsWith("_session"));
  req.headers.cookie = kept.join("; ");
}

function isFault<T extends string>(list: readonly T[], value: string | null): value is T {
  return list.some((known) => known === value);
}

/** Starts the stand-in. Rejects with a clear sentence when the port is taken. */
export async function startGoogleSandbox(options: GoogleSandboxOptions): Promise<GoogleSandbox> {
  const host = options.host ?? "127.0.0.1";
  const allowHosts = (options.allowHosts ?? []).map((name) => name.toLowerCase());
  const ring = await createKeyRing();
  const users = createUsers(options.users ?? SAMPLE_USERS);
  let handler: (req: IncomingMessage, res: ServerResponse) => Promise<void> = async () => undefined;
  const { server, port } = await listen("Google sandbox", options.port ?? 0, host, (req, res) =>
    handler(req, res),
  );
  const issuer = `http://${host === "0.0.0.0" ? "localhost" : host}:${port}`;
  const redirectUris = new Set(options.redirectUris);

  let tokenFaults: TokenFault[] = [];
  let claims: JWTPayload = {};
  let clockOffsetSeconds = 0;
  const endpointFaults = new Map<GoogleEndpoint, { fault: EndpointFault; left: number }>();
  const counts = { discovery: 0, jwks: 0, token: 0, auth: 0 };

  const provider = await createProvider({
    issuer,
    clientId: options.clientId,
    clientSecret: options.clientSecret,
    redirectUris: () => [...redirectUris],
    ring,
    users,
    cookieKey: randomBytes(24).toString("base64url"),
    renderError: (ctx: OidcContext, out) => {
      ctx.body = errorPage(out.error, out.error_description ?? "");
    },
  });

  // Every ID token is signed here, with our own keys, so that rotation and faults work on real answers.
  provider.use(async (ctx, next) => {
    await next();
    const body = ctx.body;
    if (ctx.path === "/jwks") {
      ctx.body = ring.jwks();
    } else if (
      ctx.path === "/token" &&
      typeof body === "object" &&
      body !== null &&
      "id_token" in body
    ) {
      const fault = tokenFaults.shift();
      const original = decodeJwt(String(body.id_token));
      const token = await signIdToken(
        ring,
        {
          ...original,
          azp: options.clientId,
          iat: (original.iat ?? 0) + clockOffsetSeconds,
          exp: (original.exp ?? 0) + clockOffsetSeconds,
          ...claims,
        },
        fault,
        issuer,
      );
      const { id_token: _replaced, ...rest } = body;
      ctx.body = token === undefined ? rest : { ...rest, id_token: token };
    }
  });
  const callback = provider.callback();

  const control: GoogleControl = {
    users: () => users.all(),
    setUser: users.set,
    addRedirectUri: (uri) => {
      redirectUris.add(uri);
    },
    renameUser: users.rename,
    faultyTokens: (fault, times = 1) => {
      for (let i = 0; i < Math.min(times, 1000); i += 1) tokenFaults.push(fault);
    },
    faultyEndpoint: (endpoint, fault, times = 1) => {
      endpointFaults.set(endpoint, { fault, left: times });
    },
    overrideClaims: (given) => {
      claims = given;
    },
    setClockOffset: (seconds) => {
      clockOffsetSeconds = seconds;
    },
    rotateKeys: async ({ keepOld = false } = {}) => (await ring.rotate(keepOld)).kid,
    counts: () => ({ ...counts }),
    wellBehaved: () => {
      tokenFaults = [];
      claims = {};
      clockOffsetSeconds = 0;
      endpointFaults.clear();
    },
  };

  const failEndpoint = async (endpoint: GoogleEndpoint, res: ServerResponse): Promise<boolean> => {
    const planned = endpointFaults.get(endpoint);
    if (planned === undefined) return false;
    planned.left -= 1;
    if (planned.left <= 0) endpointFaults.delete(endpoint);
    switch (planned.fault) {
      case "hang":
        return true;
      case "slow":
        await new Promise((wake) => setTimeout(wake, SLOW_MS).unref());
        return false;
      case "refuse":
        res.socket?.destroy();
        return true;
      case "500":
        res.writeHead(500, { "Content-Type": "application/json" }).end('{"error":"server_error"}');
        return true;
      case "html":
        res
          .writeHead(200, { "Content-Type": "text/html" })
          .end("<html><body>Scheduled maintenance</body></html>");
        return true;
      case "half":
        res.writeHead(200, { "Content-Type": "application/json", "Content-Length": "500" });
        res.write('{"access_token":"abc","id_tok', () => res.socket?.destroy());
        return true;
      case "empty-json":
        res.writeHead(200, { "Content-Type": "application/json" }).end("{}");
        return true;
      case "error-markup":
        res.writeHead(400, { "Content-Type": "application/json" });
        res.end(
          JSON.stringify({
            error: "invalid_grant",
            error_description: "<script>alert(1)</script>",
          }),
        );
        return true;
    }
  };

  const interaction = async (
    req: IncomingMessage,
    res: ServerResponse,
    uid: string,
  ): Promise<void> => {
    const details = await provider.interactionDetails(req, res).catch(() => undefined);
    if (details === undefined || details.uid !== uid) {
      res.writeHead(400, { "Content-Type": "text/html; charset=utf-8" });
      res.end(errorPage("This sign-in has ended", "Start again from the app."));
      return;
    }
    const hint = typeof details.params.login_hint === "string" ? details.params.login_hint : "";
    const formTargets = [...new Set([...redirectUris].flatMap(originOf))];
    const page = { uid, users: users.all(), clientId: options.clientId, formTargets, hint };
    if (req.method !== "POST") {
      showChooser(res, page);
      return;
    }
    const form = new URLSearchParams((await readBody(req)) ?? "");
    const email = (form.get("email") ?? "").trim();
    if (!form.has("deny") && !/^[^\s@<>"]+@[^\s@<>"]+$/.test(email)) {
      showChooser(res, { ...page, problem: "Enter an e-mail address." });
      return;
    }
    const result = form.has("deny")
      ? { error: "access_denied", error_description: "The person denied access." }
      : { login: { accountId: users.signIn(email).sub, remember: false } };
    const to = await provider.interactionResult(req, res, result, {
      mergeWithLastSubmission: false,
    });
    res.writeHead(303, { Location: to, "Cache-Control": "no-store" }).end();
  };

  const controlRequest = async (
    req: IncomingMessage,
    res: ServerResponse,
    query: URLSearchParams,
  ): Promise<void> => {
    const times = Number(query.get("times") ?? "1") || 1;
    const token = query.get("token");
    const fault = query.get("fault");
    const endpoint = query.get("endpoint") ?? "";
    let answer: unknown = {
      users: users.all(),
      counts,
      tokenFaults,
      endpointFaults: [...endpointFaults],
      TOKEN_FAULTS,
      ENDPOINT_FAULTS,
    };
    if (req.method === "POST") {
      if (isFault(TOKEN_FAULTS, token)) control.faultyTokens(token, times);
      else if (
        isFault(ENDPOINT_FAULTS, fault) &&
        Object.values(ENDPOINTS).some((name) => name === endpoint)
      ) {
        control.faultyEndpoint(endpoint as GoogleEndpoint, fault, times);
      } else if (query.has("rotate"))
        await control.rotateKeys({ keepOld: query.get("rotate") === "keep" });
      else if (query.has("rename"))
        control.renameUser(query.get("rename") ?? "", query.get("to") ?? "");
      else if (URL.canParse(query.get("redirectUri") ?? ""))
        control.addRedirectUri(query.get("redirectUri") ?? "");
      else if (query.has("reset")) control.wellBehaved();
      else {
        res.writeHead(400, { "Content-Type": "application/json" });
        res.end(
          JSON.stringify({
            error: "Unknown request",
            TOKEN_FAULTS,
            ENDPOINT_FAULTS,
            endpoints: Object.values(ENDPOINTS),
          }),
        );
        return;
      }
      answer = { ok: true };
    }
    res
      .writeHead(200, { "Content-Type": "application/json" })
      .end(`${JSON.stringify(answer, null, 2)}\n`);
  };

  handler = async (req, res) => {
    const target = new URL(req.url ?? "/", issuer);
    if (!hostAllowed(req, allowHosts)) {
      res.writeHead(403, { "Content-Type": "text/plain" }).end("Not from here.\n");
      return;
    }
    const endpoint = ENDPOINTS[target.pathname];
    if (endpoint !== undefined) {
      counts[endpoint] += 1;
      if (await failEndpoint(endpoint, res)) return;
    }
    const [, uid] = /^\/interaction\/([\w-]+)$/.exec(target.pathname) ?? [];
    if (uid !== undefined) await interaction(req, res, uid);
    else if (target.pathname === "/_sandbox") await controlRequest(req, res, target.searchParams);
    else {
      forgetSession(req);
      await callback(req, res);
    }
  };

  return {
    issuer,
    port,
    clientId: options.clientId,
    clientSecret: options.clientSecret,
    control,
    close: () => closeServer(server),
  };
}
