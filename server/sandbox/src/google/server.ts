// The Google stand-in as a running server: a real OpenID provider behind a front end that can misbehave on request.
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { decodeJwt } from "jose";
import type { OidcContext, Provider } from "oidc-provider";
import { closeServer, hostAllowed, isCrossSite, listen, readBody, targetOf } from "../http.ts";
import { errorPage, showChooser } from "./chooser.ts";
import {
  createControl,
  type GoogleControl,
  type GoogleFaults,
  handleControl,
  noFaults,
  takeFault,
} from "./control.ts";
import { ENDPOINTS, failWith } from "./endpoints.ts";
import { createKeyRing, type KeyRing } from "./keys.ts";
import { createProvider } from "./provider.ts";
import { signIdToken } from "./tokens.ts";
import { createUsers, type GoogleUser, SAMPLE_USERS, type Users } from "./users.ts";

export interface GoogleSandboxOptions {
  /** 0 (default) = any free port. */
  port?: number;
  host?: string;
  clientId: string;
  clientSecret: string;
  /** The exact callback URLs, as registered at Google. */
  redirectUris: string[];
  users?: GoogleUser[];
  /** Hosts other than loopback that the `Host` header may name. */
  allowHosts?: string[];
}

export interface GoogleSandbox {
  issuer: string;
  port: number;
  clientId: string;
  clientSecret: string;
  control: GoogleControl;
  close(): Promise<void>;
}

/**
 * Drops the provider's session cookies, so that every sign-in starts afresh: accounts can be switched, and
 * tabs do not interfere.
 */
function forgetSession(req: IncomingMessage): void {
  const kept = (req.headers.cookie ?? "").split("; ").filter((it) => !it.startsWith("_session"));
  req.headers.cookie = kept.join("; ");
}

/** The parts of a running stand-in. */
interface GoogleState {
  issuer: string;
  clientId: string;
  allowHosts: string[];
  redirectUris: Set<string>;
  ring: KeyRing;
  users: Users;
  faults: GoogleFaults;
  control: GoogleControl;
  provider: Provider;
}

/** Re-signs every ID token with our own keys, so that key rotation and faults apply to real responses. */
async function signAnswers(
  { issuer, clientId, ring, faults }: GoogleState,
  ctx: OidcContext,
): Promise<void> {
  const body = ctx.body;
  if (ctx.path === "/jwks") {
    ctx.body = ring.jwks();
  } else if (
    ctx.path === "/token" &&
    typeof body === "object" &&
    body !== null &&
    "id_token" in body
  ) {
    const fault = faults.tokens.shift();
    const original = decodeJwt(String(body.id_token));
    const claims = {
      ...original,
      azp: clientId,
      iat: (original.iat ?? 0) + faults.clockOffsetSeconds,
      exp: (original.exp ?? 0) + faults.clockOffsetSeconds,
      ...faults.claims,
    };
    const token = await signIdToken(ring, claims, fault, issuer);
    const { id_token: _replaced, ...rest } = body;
    ctx.body = token === undefined ? rest : { ...rest, id_token: token };
  }
}

/** Handles the account chooser: shows it, and accepts the choice. */
async function interact(
  { provider, users, clientId }: GoogleState,
  req: IncomingMessage,
  res: ServerResponse,
  uid: string,
): Promise<void> {
  const details = await provider.interactionDetails(req, res).catch(() => undefined);
  if (details === undefined || details.uid !== uid) {
    res.writeHead(400, { "Content-Type": "text/html; charset=utf-8" });
    res.end(errorPage("This sign-in has ended", "Start again from the app."));
    return;
  }
  const hint = typeof details.params.login_hint === "string" ? details.params.login_hint : "";
  // The app's callback redirects on to a frontend that only the app knows, so any origin is allowed.
  const formTargets = ["http:", "https:"];
  const page = { uid, users: users.all(), clientId: clientId, formTargets, hint };
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
}

/** Handles requests that are not for the provider. Returns false for those that are. */
async function handled(
  state: GoogleState,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<boolean> {
  const { allowHosts, faults, control } = state;
  const { pathname, searchParams } = targetOf(req);
  if (!hostAllowed(req, allowHosts) || (pathname === "/_sandbox" && isCrossSite(req))) {
    res.writeHead(403, { "Content-Type": "text/plain" }).end("Not from here.\n");
    return true;
  }
  const endpoint = ENDPOINTS[pathname];
  if (endpoint !== undefined) {
    faults.counts[endpoint] += 1;
    const fault = takeFault(faults, endpoint);
    if (fault !== undefined && (await failWith(fault, res))) return true;
  }
  const [, uid] = /^\/interaction\/([\w-]+)$/.exec(pathname) ?? [];
  if (uid !== undefined) await interact(state, req, res, uid);
  else if (pathname === "/_sandbox")
    await handleControl(control, faults, res, { method: req.method, query: searchParams });
  else return false;
  return true;
}

/** Starts the stand-in. Rejects with a clear message when the port is taken. */
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

  const faults = noFaults();
  const control = createControl({ users, ring, faults, redirectUris });
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

  const state: GoogleState = {
    issuer,
    clientId: options.clientId,
    allowHosts,
    redirectUris,
    ring,
    users,
    faults,
    control,
    provider,
  };
  provider.use(async (ctx, next) => {
    await next();
    await signAnswers(state, ctx);
  });
  const callback = provider.callback();
  handler = async (req, res) => {
    if (await handled(state, req, res)) return;
    forgetSession(req);
    await callback(req, res);
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
