// Owns the list of what a configuration must not let out, for whoever writes logs.
import type { Config } from "./config.ts";

/** Every secret value of `config`. */
export function secretsOf(config: Config): string[] {
  const { tokens, google, stripe, redis, database } = config;
  return [
    ...tokens.accessSecrets,
    ...tokens.refreshSecrets,
    google.clientSecret,
    stripe.secretKey,
    ...stripe.webhookSecrets,
    ...config.serviceKeys.map(({ key }) => key),
    config.metricsToken ?? "",
    redis?.password ?? "",
    passwordOf(database.url),
  ].filter((secret) => secret !== "");
}

function passwordOf(address: string): string {
  if (!URL.canParse(address)) return "";
  const { password } = new URL(address);
  try {
    return decodeURIComponent(password);
  } catch {
    return password;
  }
}
