// What `npm run dev` starts and where, from the user's own settings: ports, addresses, and which sandboxes are needed.
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { parseEnv } from "node:util";
import type { Environment } from "../../config/environment.ts";

/** What to start, and where. */
export interface DevelopmentPlan {
  readonly environment: Environment;
  readonly apiUrl: string;
  readonly apiPort: number;
  /** Null when FRONTEND_URL is not local: the user then runs their own frontend. */
  readonly webPort: number | null;
  readonly frontendUrl: string;
  readonly callbackUrl: string;
  readonly webhookUrl: string;
  /** Ports of the sandboxes; null where the user has real credentials. */
  readonly googlePort: number | null;
  readonly stripePort: number | null;
  readonly modelPort: number | null;
}

/**
 * Returns `.env` overridden by the process's own environment; blank values count as unset. Called again at each start
 * of the API. Unlike loadEnvironment of config/environment.ts, it does not change `process.env`, whose values would
 * override the edited file.
 */
export function readEnvironment(): Environment {
  const fromFile = existsSync(".env") ? parseEnv(readFileSync(".env", "utf8")) : {};
  const isSet = ([, value]: [string, string | undefined]) => Boolean(value?.trim());
  return {
    ...Object.fromEntries(Object.entries(fromFile).filter(isSet)),
    ...Object.fromEntries(Object.entries(process.env).filter(isSet)),
  };
}

/** Returns what has to be started. Throws an Error with a sentence when PORT or FRONTEND_URL makes no sense. */
export function planDevelopment(environment: Environment): DevelopmentPlan {
  const apiPort = Number(environment["PORT"] ?? "5000");
  if (!Number.isInteger(apiPort) || apiPort < 1 || apiPort > 65_532)
    throw new Error(`PORT=${environment["PORT"]} is not a port. Use a number such as 5000.`);
  const frontendUrl = (environment["FRONTEND_URL"] ?? "http://localhost:3000")
    .split(",")[0]
    ?.trim();
  if (frontendUrl === undefined || !URL.canParse(frontendUrl))
    throw new Error(
      `FRONTEND_URL=${environment["FRONTEND_URL"]} is not an address. Use one such as http://localhost:3000.`,
    );
  const frontend = new URL(frontendUrl);
  const local =
    frontend.protocol === "http:" && ["localhost", "127.0.0.1"].includes(frontend.hostname);
  const apiUrl = `http://localhost:${apiPort}`;
  return {
    environment,
    apiUrl,
    apiPort,
    webPort: local ? Number(frontend.port || "80") : null,
    frontendUrl: frontend.origin,
    // As parseConfig reads it.
    callbackUrl:
      environment["GOOGLE_CALLBACK_URL"]?.replace("$PORT", String(apiPort)) ??
      `${apiUrl}/api/auth/google/callback`,
    webhookUrl: `${apiUrl}/api/payment/webhook`,
    // Fixed ports, not free ones: the issuer's address is part of a user's identity, so it must survive a restart.
    googlePort: environment["GOOGLE_CLIENT_ID"] ? null : apiPort + 1,
    stripePort: environment["STRIPE_SECRET_KEY"] ? null : apiPort + 2,
    modelPort: environment["AI_BASE_URL"] ? null : apiPort + 3,
  };
}

/** Returns a few sentences that name every taken port and how to use others; null when all are free. */
export async function busyPorts(found: DevelopmentPlan): Promise<string | null> {
  const apiParts: [number | null, string][] = [
    [found.apiPort, "the API"],
    [found.googlePort, "the Google sandbox, PORT + 1"],
    [found.stripePort, "the Stripe sandbox, PORT + 2"],
    [found.modelPort, "the stand-in model, PORT + 3"],
  ];
  const taken: string[] = [];
  const remedies: string[] = [];
  for (const [port, whose] of apiParts)
    if (port !== null && (await isBusy(port))) taken.push(`Port ${port} (${whose}) is taken.`);
  if (taken.length > 0) remedies.push(`PORT=${found.apiPort + 100}`);
  if (found.webPort !== null && (await isBusy(found.webPort))) {
    taken.push(`Port ${found.webPort} (the frontend) is taken.`);
    remedies.push(`FRONTEND_URL=http://localhost:${found.webPort + 100}`);
  }
  if (taken.length === 0) return null;
  return [
    ...taken,
    "Is another `npm run dev` running? Stop that program, or start this one elsewhere:",
    `  ${remedies.join(" ")} npm run dev`,
  ].join("\n  ");
}

async function isBusy(port: number): Promise<boolean> {
  // A program may hold the port on one address only; each is probed by trying to listen on it.
  for (const host of ["0.0.0.0", "127.0.0.1", "::1"]) {
    const taken = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EADDRINUSE"));
      probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(false)));
    });
    if (taken) return true;
  }
  return false;
}
