// The environment variables of sign-in with Google, or with any other OpenID Connect issuer.
import { z } from "zod";
import { checkPlaceholder, checkServiceAddress, wholeText } from "../checks.ts";
import { httpUrl, isLoopback, issuer, url } from "../fields.ts";
import { defineGroup, type Finding, warning, weak } from "../variable.ts";

export const GOOGLE = defineGroup("Google sign-in (unset in development = sandbox)", {
  GOOGLE_CLIENT_ID: {
    schema: z.string().default(""),
    description: "OAuth client of the type web application.",
    example: "",
    required: true,
    howToGet:
      "create an OAuth client at https://console.cloud.google.com/apis/credentials and copy its id",
    check: checkPlaceholder,
  },
  GOOGLE_CLIENT_SECRET: {
    schema: z.string().default(""),
    description: "Its secret.",
    example: "",
    required: true,
    howToGet: "copy it from the OAuth client at https://console.cloud.google.com/apis/credentials",
    secrets: wholeText,
    check: checkPlaceholder,
  },
  GOOGLE_CALLBACK_URL: {
    schema: url,
    default: "http://localhost:$PORT/api/auth/google/callback",
    required: "unlessLocal",
    description:
      "The authorised redirect URI, exactly as entered at Google; https outside this machine. Production refuses localhost, unless GOOGLE_ISSUER is on localhost, too.",
    check: checkCallback,
  },
  GOOGLE_ISSUER: {
    // Compared character by character with the provider's own issuer: a trailing slash may be part of it.
    schema: issuer,
    default: "https://accounts.google.com",
    description: "Any OpenID Connect issuer; endpoints come from its discovery document.",
    check: checkServiceAddress,
  },
});

function checkCallback(text: string): Finding[] {
  const callback = httpUrl(text);
  if (!callback) return [];
  const findings: Finding[] = [];
  if (!callback.pathname.endsWith("/api/auth/google/callback"))
    findings.push(
      warning("does not end in /api/auth/google/callback: a proxy must map it to that path"),
    );
  if (callback.protocol === "http:" && !isLoopback(callback))
    findings.push(weak("is plain http: Google and secure cookies need https outside this machine"));
  return findings;
}
