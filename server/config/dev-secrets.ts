// The secrets that development generates for itself.
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const stored = z.object({
  JWT_SECRET: z.string().min(32),
  REFRESH_TOKEN_SECRET: z.string().min(32),
});

/**
 * Returns the token secrets of a development machine: read from `secrets.json` in `directory`, and generated there on
 * first use (0600), so that a restart signs no user out. Throws a plain Error with a sentence when the file cannot be
 * used.
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
      // Two processes may start simultaneously: the file of the first one is used.
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
