// The app's texts for the server's codes: errors, sign-in failures, features, states.
import { TRPCClientError } from "@trpc/client";
import {
  type AppErrorData,
  type EntryType,
  type ErrorCode,
  FEATURE_TABLE,
  type Feature,
  type PaymentState,
  type SignInError,
} from "@skywork/shared";

/** The typed part of the server's error; null when there was no response, or not one of ours. */
export function appError(error: unknown): AppErrorData | null {
  if (!(error instanceof TRPCClientError)) return null;
  const data = error.data as { app?: AppErrorData } | null | undefined;
  return data?.app ?? null;
}

/** Whether `error` is a server error with this code. */
export function hasCode<Code extends ErrorCode>(error: unknown, code: Code): boolean {
  return appError(error)?.code === code;
}

/** Whether it is unknown if the call took effect: no response, or the server was unavailable or failed. */
export function isUncertain(error: unknown): boolean {
  const app = appError(error);
  return app === null || app.code === "SERVICE_UNAVAILABLE" || app.code === "INTERNAL";
}

/** A friendly message for any error. */
export function errorText(error: unknown): string {
  const app = appError(error);
  if (app === null) return "We could not reach Skywork. Check your connection and try again.";
  return (
    refusalText(app) ??
    (error instanceof Error ? error.message : "Something went wrong. Please try again.")
  );
}

/** The message for a server error; null for codes whose own message is best. */
export function refusalText(app: AppErrorData): string | null {
  switch (app.code) {
    case "RATE_LIMITED":
      return `Too many requests. Please wait ${waitText(app.retryAfterSeconds)} and try again. Nothing was charged.`;
    case "SERVICE_UNAVAILABLE":
      return `Skywork is temporarily unavailable. Please try again in ${waitText(app.retryAfterSeconds)}.`;
    case "INSUFFICIENT_CREDITS":
      return `This costs ${app.required} credits and you have ${app.available} to spend.`;
    case "VALIDATION_FAILED":
      return Object.values(app.fields)[0]?.[0] ?? "Please check what you entered.";
    case "PAYMENT_PROVIDER_ERROR":
      return "There was a problem with the payment service. Nothing was charged; please try again.";
    case "PREVIEW_STALE":
      return "The price has changed since you looked. Please check the new one.";
    case "UNAUTHENTICATED":
    case "TOKEN_EXPIRED":
    case "SESSION_REVOKED":
    case "REFRESH_REUSED":
      return "You are signed out. Please sign in again.";
    case "AI_PROVIDER_ERROR":
      return "There was a problem with the AI model. Please try again in a moment.";
    default:
      return null;
  }
}

/** `90` → `2 minutes`. */
export function waitText(seconds: number): string {
  if (seconds < 60) return seconds === 1 ? "1 second" : `${Math.max(seconds, 1)} seconds`;
  const minutes = Math.ceil(seconds / 60);
  return minutes === 1 ? "1 minute" : `${minutes} minutes`;
}

/** The user-facing message for each reason a sign-in failed. */
export const SIGN_IN_SENTENCES: Record<SignInError, string> = {
  access_denied: "You did not allow the sign-in. Nothing was shared.",
  state_invalid:
    "This sign-in was not started in this browser, or it was already used. Please start again here.",
  state_expired: "The sign-in took longer than ten minutes. Please start again.",
  code_invalid:
    "Google did not accept this sign-in, perhaps because it was used twice. Please start again.",
  identity_invalid: "We could not verify who Google says you are. Please start again.",
  email_not_verified:
    "Your Google address is not verified yet. Verify it with Google, then come back.",
  account_conflict:
    "Another account already uses this e-mail address. Sign in with the Google account you used before.",
  account_disabled: "This account has been disabled. Please contact support.",
  provider_error: "Google reported a problem. Please try again in a moment.",
  provider_unavailable: "Google cannot be reached right now. Please try again in a moment.",
  rate_limited: "Too many sign-in attempts. Please wait a few minutes and try again.",
  server_error: "Something went wrong on our side. Please try again.",
};

/** The message for the callback page's `?error=`; unknown values get a general one. */
export function signInSentence(code: string): string {
  return Object.hasOwn(SIGN_IN_SENTENCES, code)
    ? SIGN_IN_SENTENCES[code as SignInError]
    : "The sign-in did not work. Please try again.";
}

/** The features, in the order of FEATURE_TABLE. */
export const FEATURE_NAMES = Object.keys(FEATURE_TABLE) as Feature[];

/** A feature's label. Features unknown to this build keep their raw name. Charges without a feature are `other`. */
export function featureName(feature: string): string {
  if (feature === "other") return "Other work";
  return Object.hasOwn(FEATURE_TABLE, feature) ? FEATURE_TABLE[feature as Feature].label : feature;
}

/** The label of each type of entry in the credit history. */
export const ENTRY_WORDS: Record<EntryType, string> = {
  SIGNUP: "Welcome gift",
  PURCHASE: "Credits bought",
  SUBSCRIPTION: "Plan credits",
  USAGE: "Used",
  REFUND: "Refund",
  DISPUTE: "Dispute opened",
  DISPUTE_REVERSAL: "Dispute won",
  EXPIRY: "Expired",
  ADMIN_ADJUST: "Adjusted by support",
};

/** Every entry type, in the order of the filter. */
export const ENTRY_TYPES = Object.keys(ENTRY_WORDS) as EntryType[];

/** The label and tone of each payment status. */
export const PAYMENT_WORDS: Record<
  PaymentState,
  { text: string; tone: "good" | "warn" | "bad" | "soft" }
> = {
  PENDING: { text: "Pending", tone: "warn" },
  SUCCESS: { text: "Paid", tone: "good" },
  FAILED: { text: "Failed", tone: "bad" },
  REFUNDED: { text: "Refunded", tone: "soft" },
  PARTIALLY_REFUNDED: { text: "Partly refunded", tone: "soft" },
  DISPUTED: { text: "Disputed", tone: "bad" },
};

const SOURCE_WORDS: Record<string, string> = {
  SIGNUP: "Welcome gift",
  PURCHASE: "Bought",
  SUBSCRIPTION: "From subscription",
  ADMIN_ADJUST: "From support",
  REFUND: "Returned",
  DISPUTE_REVERSAL: "Returned",
};

/** The label for the source of a lot of credits. */
export function sourceName(source: string): string {
  return SOURCE_WORDS[source.toUpperCase()] ?? source;
}

const SUBSCRIPTION_WORDS: Record<string, { text: string; tone: "good" | "warn" | "bad" | "soft" }> =
  {
    active: { text: "Active", tone: "good" },
    trialing: { text: "Trial", tone: "good" },
    past_due: { text: "Payment failed", tone: "bad" },
    unpaid: { text: "Unpaid", tone: "bad" },
    incomplete: { text: "Waiting for payment", tone: "warn" },
    canceled: { text: "Ended", tone: "soft" },
    paused: { text: "Paused", tone: "soft" },
  };

/** The label and tone for a Stripe subscription status. */
export function subscriptionWords(status: string): {
  text: string;
  tone: "good" | "warn" | "bad" | "soft";
} {
  return SUBSCRIPTION_WORDS[status] ?? { text: status.replaceAll("_", " "), tone: "soft" };
}
