// Owns the REST surface as data: which method and path calls which procedure. Handlers and OpenAPI are made from it.
import type { contract } from "../../../shared/src/contract.ts";

type Contract = typeof contract;

/** `auth.me`, `credit.history` … */
export type ProcedurePath = {
  [Router in keyof Contract]: `${Router}.${keyof Contract[Router] & string}`;
}[keyof Contract];

/** One REST operation. */
export interface RestOperation {
  readonly method: "GET" | "POST" | "PATCH";
  readonly path: string;
  readonly procedure: ProcedurePath;
  readonly summary: string;
  readonly access: "public" | "user" | "service";
  /** Query parameters that are numbers on the inside. */
  readonly integers?: readonly string[];
}

const page = ["limit", "offset"] as const;

/** Every operation. The first nine are the seed project's own. */
export const REST_OPERATIONS: readonly RestOperation[] = [
  {
    method: "GET",
    path: "/api/auth/config",
    procedure: "auth.config",
    summary: "The ways to sign in",
    access: "public",
  },
  {
    method: "POST",
    path: "/api/auth/refresh",
    procedure: "auth.refresh",
    summary: "A new access token for the refresh cookie, or for the refreshToken in the body",
    access: "public",
  },
  {
    method: "POST",
    path: "/api/auth/logout",
    procedure: "auth.logout",
    summary: "End the session of the refresh cookie, or of the refreshToken in the body",
    access: "public",
  },
  {
    method: "GET",
    path: "/api/auth/me",
    procedure: "auth.me",
    summary: "Who is signed in",
    access: "user",
  },
  {
    method: "GET",
    path: "/api/user/credits",
    procedure: "credit.balance",
    summary: "The balance, what is held, and the lots it is made of",
    access: "user",
  },
  {
    method: "GET",
    path: "/api/user/credits/history",
    procedure: "credit.history",
    summary: "Every movement of credits, newest first",
    access: "user",
    integers: page,
  },
  {
    method: "GET",
    path: "/api/payment/packages",
    procedure: "payment.packages",
    summary: "What is for sale once",
    access: "public",
  },
  {
    method: "POST",
    path: "/api/payment/checkout",
    procedure: "payment.checkout",
    summary: "Open a Stripe Checkout for a package",
    access: "user",
  },
  {
    method: "GET",
    path: "/api/payment/history",
    procedure: "payment.history",
    summary: "Payments, newest first",
    access: "user",
    integers: page,
  },
  {
    method: "GET",
    path: "/api/credit/costs",
    procedure: "credit.costs",
    summary: "What each feature costs",
    access: "public",
  },
  {
    method: "POST",
    path: "/api/credit/spend",
    procedure: "credit.spend",
    summary: "Spend credits on a feature, once per idempotencyKey",
    access: "user",
  },
  {
    method: "GET",
    path: "/api/credit/usage",
    procedure: "credit.usage",
    summary: "Credits spent by feature and by day",
    access: "user",
  },
  {
    method: "POST",
    path: "/api/payment/confirm",
    procedure: "payment.confirm",
    summary: "What became of one's own Checkout",
    access: "user",
  },
  {
    method: "GET",
    path: "/api/payment/plans",
    procedure: "payment.plans",
    summary: "What is for sale by subscription",
    access: "public",
  },
  {
    method: "POST",
    path: "/api/payment/subscription/cancel-change",
    procedure: "payment.cancelPlanChange",
    summary: "Keep the current plan: undo a change that waits for the period's end",
    access: "user",
  },
  {
    method: "POST",
    path: "/api/service/reserve",
    procedure: "service.reserve",
    summary: "Set a user's credits aside before work begins",
    access: "service",
  },
  {
    method: "POST",
    path: "/api/service/settle",
    procedure: "service.settle",
    summary: "Take what the work has cost, 0 up to the held amount",
    access: "service",
  },
  {
    method: "POST",
    path: "/api/service/release",
    procedure: "service.release",
    summary: "Give a hold back untouched",
    access: "service",
  },
  {
    method: "POST",
    path: "/api/service/spend",
    procedure: "service.spend",
    summary: "Spend a user's credits at once",
    access: "service",
  },
];
