// Owns what counts as a weak secret, and the secrets development makes for itself.
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const PLACEHOLDER =
  /change[-_ ]?(me|this|it)|replace[-_ ]?(me|this|with)|your[-_ ].*(secret|key|token|id)|placeholder|insert[-_ ]|^example|todo|x{6,}|^<.*>$|^\.{3}|\.{3}$/i;

/** Values that tutorials and starter projects are published with. */
const KNOWN_WEAK = new Set([
  "a-string-secret-at-least-256-bits-long",
  "your-256-bit-secret",
  "your-super-secret-jwt-key",
  "super-secret-key-that-no-one-knows",
  "thisisasecretkeythisisasecretkey",
  "supersecretjwtkeysupersecretjwtkey",
]);

/** Whether a value is text left over from an example. */
export function isPlaceholder(value: string): boolean {
  return PLACEHOLDER.test(value) || KNOWN_WEAK.has(value.toLowerCase());
}

/** Why `value` must not protect anything, or null. `minBytes` is 32 by RFC 7518 section 3.2 for HS256. */
export function weakness(value: string, minBytes = 32): string | null {
  const bytes = Buffer.byteLength(value);
  if (bytes < minBytes) return `has ${bytes} bytes, fewer than ${minBytes}`;
  if (isPlaceholder(value)) return "is a placeholder or a published value";
  if (new Set(value).size < 8) return "repeats a few characters";
  for (let period = 1; period <= 10; period += 1) {
    if (
      value ===
      value
        .slice(0, period)
        .repeat(Math.ceil(value.length / period))
        .slice(0, value.length)
    )
      return `repeats the same ${period} characters`;
  }
  return null;
}

const stored = z.object({
  JWT_SECRET: z.string().min(32),
  REFRESH_TOKEN_SECRET: z.string().min(32),
});

/**
 * The token secrets of a development machine: read from `secrets.json` in `directory`, made there on first use (0600), so that
 * a restart signs nobody out. Throws a plain Error with a sentence when the file cannot be used.
 */
export function loadDevelopmentSecrets(directory: string): z.infer<typeof stored> {
  const path = join(directory, "secrets.json");
  if (!existsSync(path)) {
    mkdirSync(directory, { recursive: true });
    const made = {
      JWT_SECRET: randomBytes(48).toString("base64url"),
      REFRESH_TOKEN_SECRET: randomBytes(48).toString("base64url"),
    };
    try {
      writeFileSync(path, `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600, flag: "wx" });
    } catch (error) {
      // Two processes may start at once: the file of the one that was first counts.
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
  }
  chmodSync(path, 0o600);
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    content = null;
  }
  const parsed = stored.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new Error(`${path} is damaged; delete it and start again (everybody is signed out once).`);
}
