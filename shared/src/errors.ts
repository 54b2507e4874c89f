// The closed list of error codes, the tRPC code and HTTP status of each, and the details each carries.

/** The tRPC code and HTTP status of each code. Nothing else ever reaches a caller. */
export const ERROR_CODES = {
  UNAUTHENTICATED: { trpc: "UNAUTHORIZED", httpStatus: 401 },
  TOKEN_EXPIRED: { trpc: "UNAUTHORIZED", httpStatus: 401 },
  SESSION_REVOKED: { trpc: "UNAUTHORIZED", httpStatus: 401 },
  REFRESH_REUSED: { trpc: "UNAUTHORIZED", httpStatus: 401 },
  FORBIDDEN: { trpc: "FORBIDDEN", httpStatus: 403 },
  VALIDATION_FAILED: { trpc: "BAD_REQUEST", httpStatus: 400 },
  NOT_FOUND: { trpc: "NOT_FOUND", httpStatus: 404 },
  INSUFFICIENT_CREDITS: { trpc: "PAYMENT_REQUIRED", httpStatus: 402 },
  IDEMPOTENCY_CONFLICT: { trpc: "CONFLICT", httpStatus: 409 },
  HOLD_NOT_ACTIVE: { trpc: "CONFLICT", httpStatus: 409 },
  CONFLICT: { trpc: "CONFLICT", httpStatus: 409 },
  PREVIEW_STALE: { trpc: "CONFLICT", httpStatus: 409 },
  RATE_LIMITED: { trpc: "TOO_MANY_REQUESTS", httpStatus: 429 },
  PAYLOAD_TOO_LARGE: { trpc: "PAYLOAD_TOO_LARGE", httpStatus: 413 },
  BATCH_TOO_LARGE: { trpc: "BAD_REQUEST", httpStatus: 400 },
  PAYMENT_PROVIDER_ERROR: { trpc: "BAD_GATEWAY", httpStatus: 502 },
  AI_PROVIDER_ERROR: { trpc: "BAD_GATEWAY", httpStatus: 502 },
  IDENTITY_PROVIDER_ERROR: { trpc: "BAD_GATEWAY", httpStatus: 502 },
  SERVICE_UNAVAILABLE: { trpc: "SERVICE_UNAVAILABLE", httpStatus: 503 },
  INTERNAL: { trpc: "INTERNAL_SERVER_ERROR", httpStatus: 500 },
} as const;

/** A code of the closed list. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** The details each code carries; a code not listed here carries none. */
export interface ErrorDetails {
  VALIDATION_FAILED: { fields: Record<string, string[]> };
  INSUFFICIENT_CREDITS: {
    required: number;
    available: number;
    shortfall: number;
    suggestedPackageId: string | null;
  };
  RATE_LIMITED: { retryAfterSeconds: number };
  SERVICE_UNAVAILABLE: { retryAfterSeconds: number };
}

/** The details of one code: an object for those that have any, else nothing. */
export type DetailsOf<Code extends ErrorCode> = Code extends keyof ErrorDetails
  ? ErrorDetails[Code]
  : Record<never, never>;

/** `error.data.app` on the wire. Switch on `code` and the details are typed. */
export type AppErrorData = {
  [Code in ErrorCode]: { code: Code; requestId?: string } & DetailsOf<Code>;
}[ErrorCode];

/** The codes a failed Google sign-in may come back with, as `?error=CODE` on the frontend. */
export const SIGN_IN_ERRORS = [
  "access_denied",
  "state_invalid",
  "state_expired",
  "code_invalid",
  "identity_invalid",
  "email_not_verified",
  "account_conflict",
  "account_disabled",
  "provider_error",
  "provider_unavailable",
  "rate_limited",
  "server_error",
] as const;

/** One of SIGN_IN_ERRORS. */
export type SignInError = (typeof SIGN_IN_ERRORS)[number];
