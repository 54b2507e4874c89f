// The environment of a server under test.

/** The frontend's URL. Nothing needs to serve it. */
export const FRONTEND = "http://localhost:3000";

/** The service key, named `worker`. */
export const SERVICE_KEY = "worker-key-of-the-test-servers-0123456789";

export const REFRESH_SECRET = "refresh-secret-of-the-test-servers-0123456789";

/** Secrets, limits that are never reached, and unreachable Google and Stripe URLs; `own` adds to or overrides them. */
export function serverEnv(own: Readonly<Record<string, string>>): Record<string, string> {
  return {
    NODE_ENV: "test",
    JWT_SECRET: "access-secret-of-the-test-servers-0123456789",
    REFRESH_TOKEN_SECRET: REFRESH_SECRET,
    RATE_LIMIT_MAX_REQUESTS: "100000000",
    SERVICE_API_KEYS: `worker:${SERVICE_KEY}`,
    FRONTEND_URL: FRONTEND,
    // Tests only talk to this machine, and nothing listens on this port.
    GOOGLE_ISSUER: "http://127.0.0.1:9",
    STRIPE_API_BASE: "http://127.0.0.1:9",
    GOOGLE_CLIENT_ID: "nobody",
    GOOGLE_CLIENT_SECRET: "nothing",
    STRIPE_SECRET_KEY: "sk_test_nobody_calls_stripe_here",
    STRIPE_WEBHOOK_SECRET: "whsec_nobody_calls_stripe_here",
    ...own,
  };
}
