// The environment as the process was given it: the one place outside the commands that reads `process.env`.
import { loadDevelopmentSecrets } from "./dev-secrets.ts";

/** Variables by name; unset and empty ones are absent. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where development keeps what it makes for itself. */
export const DATA_DIRECTORY = ".data";

/**
 * Loads `.env` of the working directory into `process.env`, under what is set there already, and returns the variables that
 * are not blank, trimmed, as parseConfig reads them: `NODE_ENV` decides things before it does. For a process that reads them once: `npm run dev` reads again and again, and has readEnvironment of
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

/** Returns `given` with the token secrets that development keeps for itself, where one is unset. */
export function withDevelopmentSecrets(given: Environment): Environment {
  const isComplete =
    given["JWT_SECRET"] !== undefined && given["REFRESH_TOKEN_SECRET"] !== undefined;
  return isComplete ? given : { ...loadDevelopmentSecrets(DATA_DIRECTORY), ...given };
}
