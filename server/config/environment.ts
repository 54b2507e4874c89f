// The environment as given to the process: the one place outside the commands that reads `process.env`.
import { loadDevelopmentSecrets } from "./dev-secrets.ts";

/** Variables by name; unset and empty ones are absent. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where development keeps what it generates. */
export const DATA_DIRECTORY = ".data";

/**
 * Loads the working directory's `.env` into `process.env` without overriding what is set there, and returns the
 * non-blank variables, trimmed as parseConfig would, because `NODE_ENV` is consulted before that runs. For a process
 * that reads its environment once; `npm run dev` reads it repeatedly and uses readEnvironment of
 * cli/dev/environment.ts, which changes nothing.
 */
export function loadEnvironment(): Environment {
  for (const [name, value] of Object.entries(process.env))
    if (value?.trim() === "") delete process.env[name];
  try {
    process.loadEnvFile(".env");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  const given = Object.entries(process.env).map(([name, value]) => [name, value?.trim()] as const);
  return Object.fromEntries(given.filter(([, value]) => value));
}

/** Returns `given` with the stored development secrets in place of token secrets that are unset. */
export function withDevelopmentSecrets(given: Environment): Environment {
  const isComplete =
    given["JWT_SECRET"] !== undefined && given["REFRESH_TOKEN_SECRET"] !== undefined;
  return isComplete ? given : { ...loadDevelopmentSecrets(DATA_DIRECTORY), ...given };
}
