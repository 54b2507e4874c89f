// The real OpenID provider (oidc-provider, a dev dependency) inside the Google stand-in. It is loaded lazily, because
// production never needs it.
import type { OidcContext, Provider } from "oidc-provider";
import type { KeyRing } from "./keys.ts";
import type { Users } from "./users.ts";

type Stored = { payload: { [field: string]: unknown }; expiresAt: number };

const MAX_ROWS = 50_000;

/** A bounded in-memory oidc-provider adapter. One per provider, so that two sandboxes share nothing. */
function createAdapterFactory(client: () => Stored["payload"]): (name: string) => unknown {
  const rows = new Map<string, Stored>();
  const grants = new Map<string, Set<string>>();
  const uids = new Map<string, string>();
  return (name) => {
    const key = (id: string): string => `${name}:${id}`;
    const find = (id: string): { [field: string]: unknown } | undefined => {
      if (name === "Client") return id === client().client_id ? client() : undefined;
      const row = rows.get(key(id));
      if (row === undefined || row.expiresAt < Date.now()) return undefined;
      return row.payload;
    };
    return {
      upsert: async (id: string, payload: Stored["payload"], expiresIn?: number) => {
        rows.set(key(id), { payload, expiresAt: Date.now() + (expiresIn ?? 86_400) * 1000 });
        if (typeof payload.grantId === "string") {
          const members = grants.get(payload.grantId) ?? new Set();
          grants.set(payload.grantId, members.add(key(id)));
        }
        if (typeof payload.uid === "string") uids.set(payload.uid, key(id));
        for (const table of [rows, grants, uids]) {
          for (const oldest of table.keys()) {
            if (table.size <= MAX_ROWS) break;
            table.delete(oldest);
          }
        }
      },
      find: async (id: string) => find(id),
      findByUid: async (uid: string) => rows.get(uids.get(uid) ?? "")?.payload,
      findByUserCode: async () => undefined,
      destroy: async (id: string) => {
        rows.delete(key(id));
      },
      consume: async (id: string) => {
        const payload = find(id);
        if (payload !== undefined) payload.consumed = Math.floor(Date.now() / 1000);
      },
      revokeByGrantId: async (grantId: string) => {
        for (const member of grants.get(grantId) ?? []) rows.delete(member);
        grants.delete(grantId);
      },
    };
  };
}

/** Loads the library without its notice about Node.js 20, which it runs on but no longer lists. */
async function loadLibrary(): Promise<typeof import("oidc-provider")> {
  const warn = console.warn;
  console.warn = (...words: unknown[]) => {
    if (!String(words[0]).includes("Unsupported runtime")) warn(...words);
  };
  try {
    return await import("oidc-provider");
  } finally {
    console.warn = warn;
  }
}

/** Shows the account chooser at every sign-in, as Google does, rather than silently signing in the last user. */
function choosingPolicy(policies: typeof import("oidc-provider")["interactionPolicy"]) {
  const { Check } = policies;
  const policy = policies.base();
  policy
    .get("login")
    ?.checks.add(
      new Check("choose_account", "Choose an account", (ctx) =>
        ctx.oidc.result?.login === undefined ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
      ),
    );
  return policy;
}

async function findAccount(users: Users, sub: string) {
  const user = users.bySub(sub);
  if (user === undefined) return undefined;
  const [first = "", ...rest] = user.name.split(" ");
  return {
    accountId: sub,
    claims: async () => ({ ...user, given_name: first, family_name: rest.join(" ") }),
  };
}

/** Creates the provider for one client. `renderError` shows errors that cannot be returned to the client. */
export async function createProvider(given: {
  issuer: string;
  clientId: string;
  clientSecret: string;
  redirectUris: () => string[];
  ring: KeyRing;
  users: Users;
  cookieKey: string;
  renderError(ctx: OidcContext, out: { error: string; error_description?: string }): void;
}): Promise<Provider> {
  const { Provider: OidcProvider, interactionPolicy } = await loadLibrary();
  const provider: Provider = new OidcProvider(given.issuer, {
    // The client is looked up each time, because callback URLs may be added while running.
    adapter: createAdapterFactory(() => ({
      client_id: given.clientId,
      client_secret: given.clientSecret,
      redirect_uris: given.redirectUris(),
      grant_types: ["authorization_code"],
      response_types: ["code"],
    })),
    jwks: { keys: [given.ring.current().privateJwk] },
    cookies: { keys: [given.cookieKey], long: { sameSite: "lax" }, short: { sameSite: "lax" } },
    claims: {
      openid: ["sub"],
      email: ["email", "email_verified"],
      profile: ["name", "picture", "given_name", "family_name"],
    },
    scopes: ["openid", "email", "profile"],
    conformIdTokenClaims: false,
    pkce: { required: () => false },
    responseTypes: ["code"],
    interactions: {
      policy: choosingPolicy(interactionPolicy),
      url: (_ctx: unknown, interaction: { uid: string }) => `/interaction/${interaction.uid}`,
    },
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: false } },
    ttl: {
      AccessToken: 3600,
      AuthorizationCode: 600,
      IdToken: 3600,
      Interaction: 3600,
      Session: 86_400,
      Grant: 86_400,
    },
    findAccount: (_ctx: unknown, sub: string) => findAccount(given.users, sub),
    // Choosing the account counts as consent, as for a first-party client.
    loadExistingGrant: async (ctx: OidcContext) => {
      const clientId = ctx.oidc.client?.clientId ?? "";
      const accountId = ctx.oidc.session?.accountId ?? "";
      const grant = new provider.Grant({ clientId, accountId });
      grant.addOIDCScope("openid email profile");
      await grant.save();
      return grant;
    },
    renderError: given.renderError,
  });
  return provider;
}
