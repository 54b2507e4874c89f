// The environment variables about browsers and the proxies between them and this server.
import { z } from "zod";
import { httpUrl, isLoopback, list, origins, trustProxy } from "../fields.ts";
import { defineGroup, type Finding, weak } from "../variable.ts";

export const BROWSER = defineGroup("Browser side", {
  FRONTEND_URL: {
    schema: origins,
    default: "http://localhost:3000",
    required: "unlessLocal",
    description:
      "Exact origins, comma-separated; the first is where redirects go. Production refuses localhost, unless GOOGLE_ISSUER is on localhost, too.",
    check: checkHttps,
  },
  COOKIE_SAMESITE: {
    schema: z
      .string()
      .toLowerCase()
      .pipe(z.enum(["lax", "strict", "none"], { error: "must be lax, strict or none" })),
    default: "lax",
    description: "lax, strict or none; none for a frontend on another site (needs https).",
  },
  TRUST_PROXY: {
    schema: trustProxy,
    default: "off",
    description:
      "off, the number of proxies in front, or their addresses (comma list, CIDR allowed).",
  },
});

function checkHttps(text: string): Finding[] {
  return list(text).flatMap((part) => {
    const origin = httpUrl(part);
    return origin?.protocol === "http:" && !isLoopback(origin)
      ? [weak(`holds ${origin.origin}: use https outside this machine`)]
      : [];
  });
}
