// Which issuers this server can work with, according to their discovery document, before any user has signed in.
import { z } from "zod";

const words = z.array(z.string()).optional();

/** What a discovery document (OpenID Connect Discovery 3, RFC 8414, 9126, 9101) says the issuer can do and requires. */
export const capabilitiesSchema = z.object({
  response_types_supported: words,
  response_modes_supported: words,
  grant_types_supported: words,
  scopes_supported: words,
  claims_supported: words,
  id_token_signing_alg_values_supported: words,
  code_challenge_methods_supported: words,
  token_endpoint_auth_methods_supported: words,
  require_pushed_authorization_requests: z.boolean().optional(),
  require_signed_request_object: z.boolean().optional(),
});
type Capabilities = z.infer<typeof capabilitiesSchema>;

/** What each list must contain. A list that is left out is not checked: its absence says nothing either way. */
const NEEDS: readonly {
  readonly list: keyof Capabilities;
  readonly anyOf: readonly string[];
  readonly reason: string;
}[] = [
  {
    list: "id_token_signing_alg_values_supported",
    anyOf: ["RS256"],
    reason: "it does not sign ID tokens with RS256",
  },
  {
    list: "token_endpoint_auth_methods_supported",
    anyOf: ["client_secret_basic", "client_secret_post"],
    reason:
      "its token endpoint takes neither client_secret_basic nor client_secret_post (client_secret_jwt, private_key_jwt and TLS certificates are not supported here)",
  },
  {
    list: "response_types_supported",
    anyOf: ["code"],
    reason: "it does not offer the authorization code flow (response_type=code)",
  },
  {
    list: "response_modes_supported",
    anyOf: ["query"],
    reason: "it does not answer in the query of the callback (response_mode=query)",
  },
  {
    list: "grant_types_supported",
    anyOf: ["authorization_code"],
    reason: "it does not offer the grant authorization_code",
  },
  {
    list: "code_challenge_methods_supported",
    anyOf: ["S256"],
    reason: "it does not offer PKCE with S256",
  },
  { list: "scopes_supported", anyOf: ["email"], reason: "it does not offer the scope email" },
  { list: "claims_supported", anyOf: ["email"], reason: "it does not offer the claim email" },
  {
    list: "claims_supported",
    anyOf: ["email_verified"],
    reason: "it does not offer the claim email_verified",
  },
];

/** Returns why sign-in cannot work with this issuer, each reason as the end of a sentence; empty when it can. */
export function unsupportedReasons(capabilities: Capabilities): string[] {
  const reasons: string[] = [];
  if (capabilities.require_pushed_authorization_requests === true)
    reasons.push("it requires pushed authorization requests (PAR, RFC 9126)");
  if (capabilities.require_signed_request_object === true)
    reasons.push("it requires signed request objects (JAR, RFC 9101)");
  for (const { list, anyOf, reason } of NEEDS) {
    const offered = capabilities[list];
    if (!Array.isArray(offered) || anyOf.some((word) => offered.includes(word))) continue;
    reasons.push(`${reason}, only ${offered.slice(0, 10).join(", ").slice(0, 200) || "nothing"}`);
  }
  return reasons;
}
