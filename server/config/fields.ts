// Parsers for one environment variable: numbers, durations, lists, endpoints, URLs. Each error says how to fix it.
import { isIP } from "node:net";
import { z } from "zod";
import { asciiLowerCase } from "../lib/text.ts";
import { readCertificates } from "../lib/pem.ts";
import type { Endpoint } from "./config.ts";

const DURATION_UNITS_SECONDS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
};

/** Parses `15m`, `7d` or `3600` (seconds) to seconds, within bounds. */
export function durationSeconds(minSeconds: number, maxSeconds: number) {
  return z.string().transform((text, ctx) => {
    const match = /^(\d{1,10})\s*(s|m|h|d|w)?$/i.exec(text.trim());
    const seconds = match
      ? Number(match[1]) * (DURATION_UNITS_SECONDS[match[2]?.toLowerCase() ?? "s"] ?? 1)
      : Number.NaN;
    if (seconds >= minSeconds && seconds <= maxSeconds) return seconds;
    ctx.addIssue(
      `must be a duration such as 90s, 15m, 12h or 7d (a bare number means seconds), from ${minSeconds} s to ${maxSeconds} s`,
    );
    return z.NEVER;
  });
}

/** Parses a whole number written in plain digits, within bounds. */
export function integer(min: number, max: number) {
  return z.string().transform((text, ctx) => {
    const value = /^-?\d{1,15}$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    ctx.addIssue(`must be a whole number from ${min} to ${max}`);
    return z.NEVER;
  });
}

/** Splits comma-separated text into trimmed parts, without empty ones. */
export function list(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** Parses a `host:port` list; the port may be left out. */
export function endpoints(defaultPort: number) {
  return z.string().transform((text, ctx): Endpoint[] => {
    const found: Endpoint[] = [];
    for (const part of list(text)) {
      const match = /^(\[[0-9a-f:.]+\]|[^\s:/@]+)(?::(\d{1,5}))?$/i.exec(part);
      const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
      if (!match?.[1] || port < 1 || port > 65_535) {
        ctx.addIssue(`holds "${part}"; write host:port, comma-separated`);
        return z.NEVER;
      }
      found.push({ host: match[1].replace(/^\[|\]$/g, ""), port });
    }
    if (found.length > 0) return found;
    ctx.addIssue("is an empty list; write host:port, comma-separated");
    return z.NEVER;
  });
}

/** Parses `text` as an http(s) URL without credentials; null when it is not one. */
export function httpUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const isHttp = url.protocol === "http:" || url.protocol === "https:";
  return isHttp && url.username === "" && url.password === "" ? url : null;
}

/** Whether a URL's host is this machine: plain http is safe only there. */
export function isLoopback(url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return (
    host === "localhost" || host.endsWith(".localhost") || host === "::1" || host.startsWith("127.")
  );
}

/** An http(s) URL without query and fragment, as written. */
export const issuer = z.string().transform((text, ctx) => {
  const parsed = httpUrl(text.trim());
  if (parsed && parsed.search === "" && parsed.hash === "") return text.trim();
  ctx.addIssue("must be an http:// or https:// address without user, query or fragment");
  return z.NEVER;
});

/** Like `issuer`, without trailing slashes. */
export const url = issuer.transform((text) => text.replace(/\/+$/, ""));

/** Exact origins, comma-separated; at least one. */
export const origins = z.string().transform((text, ctx): [string, ...string[]] => {
  const found: string[] = [];
  for (const part of list(text)) {
    const parsed = httpUrl(part);
    const isOrigin = parsed?.pathname === "/" && parsed.search === "" && parsed.hash === "";
    if (!isOrigin || parsed.hostname.includes("*")) {
      ctx.addIssue(
        `holds "${part}", which is no exact origin; write scheme://host[:port] without a path and without wildcards`,
      );
      return z.NEVER;
    }
    if (!found.includes(parsed.origin)) found.push(parsed.origin);
  }
  const [first, ...rest] = found;
  if (first !== undefined) return [first, ...rest];
  ctx.addIssue("holds no origin; write for example https://app.example.com");
  return z.NEVER;
});

function isPrefix(bits: string, most: number): boolean {
  return /^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= most;
}

const NAMED_PROXY_RANGES = ["loopback", "linklocal", "uniquelocal"];

/** Express's `trust proxy`: false, hops, or addresses. `true` is refused: it would trust anyone. */
export const trustProxy = z.string().transform((text, ctx): false | number | string => {
  const value = text.trim().toLowerCase();
  if (["off", "false", "no", "0"].includes(value)) return false;
  if (/^\d{1,2}$/.test(value)) return Number(value);
  const parts = list(value);
  const known = parts.every((part) => {
    const [address = "", bits, ...more] = part.split("/");
    const family = isIP(address);
    if (NAMED_PROXY_RANGES.includes(part)) return true;
    if (family === 0 || more.length > 0) return false;
    // A prefix of 0 would trust anyone, as "true" would.
    return bits === undefined || isPrefix(bits, family === 4 ? 32 : 128);
  });
  if (known && parts.length > 0) return parts.join(",");
  ctx.addIssue(
    'must be off, the number of proxies in front (1, 2 …), or their addresses; "true" would let any client forge its address',
  );
  return z.NEVER;
});

/** E-mail addresses of ASCII characters, comma-separated, in lower case. */
export const emails = z.string().transform((text, ctx) => {
  const found = list(text).map(asciiLowerCase);
  const wrong = found.find((part) => !/^[\x21-\x3f\x41-\x7e]+@[\x21-\x3f\x41-\x7e]+$/.test(part));
  if (wrong === undefined) return found;
  ctx.addIssue(`holds "${wrong}", which is no e-mail address of ASCII characters`);
  return z.NEVER;
});

/** `name:key` pairs, comma-separated; names and keys unique, keys at least 32 characters. Errors never repeat a key. */
export const serviceKeys = z.string().transform((text, ctx) => {
  const found: { name: string; key: string }[] = [];
  for (const [index, part] of list(text).entries()) {
    const match = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,49}):(\S+)$/.exec(part);
    const name = match?.[1];
    const key = match?.[2];
    if (name === undefined || key === undefined)
      ctx.addIssue(`entry ${index + 1} is not name:key (name: letters, digits, . _ -)`);
    else if (key.length < 32)
      ctx.addIssue(
        `the key of "${name}" has fewer than 32 characters; make one by \`openssl rand -hex 32\``,
      );
    else if (found.some((other) => other.name === name))
      ctx.addIssue(`the name "${name}" appears twice; give each worker its own`);
    else if (found.some((other) => other.key === key))
      ctx.addIssue(`"${name}" has the key of another worker; give each its own`);
    else found.push({ name, key });
  }
  return found;
});

/** Certificates in PEM form. */
export const certificates = z.string().transform((text, ctx) => {
  const found = readCertificates(text);
  if (found !== null) return found;
  ctx.addIssue(
    "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----); to name a file, write ?sslca=/path/to/ca.pem in DATABASE_URL",
  );
  return z.NEVER;
});
