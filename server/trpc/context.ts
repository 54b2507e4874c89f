// What every procedure receives: plain values and services. No Express or vendor types, so tests need no HTTP.
import type { AiService } from "../ai/ai.service.ts";
import type { AdminService } from "../admin/admin.service.ts";
import type { AuthService } from "../auth/auth.service.ts";
import type { Principal } from "../auth/auth.types.ts";
import type { AuthorityWatch } from "../auth/auth.types.ts";
import type { CreditService } from "../credit/credit.service.ts";
import type { Logger } from "../lib/logger.ts";
import type { Tracer } from "../lib/tracer.ts";
import type { PaymentService } from "../payment/payment.service.ts";
import type { WorkersService } from "../workers/workers.service.ts";
import type { UserService } from "../user/user.service.ts";
import type { RateLimits, RateState } from "./limits.ts";
import type { RequestNotes } from "./notes.ts";

/** The services behind the routers, created once by app.ts. */
export interface Services {
  readonly auth: AuthService;
  readonly user: UserService;
  readonly credit: CreditService;
  readonly payment: PaymentService;
  readonly ai: AiService;
  readonly service: WorkersService;
  readonly admin: AdminService;
}

/** What a procedure may do to the HTTP response, when there is one. */
export interface Reply {
  setHeader(name: string, value: string): void;
  /** Reports the client's rate-limit state. If several windows were counted, the one with the least left wins. */
  setRateState(state: RateState): void;
  /** Sets the refresh cookie for `maxAgeSeconds`; null clears it. */
  setRefreshCookie(token: string | null, maxAgeSeconds: number): void;
  /** Resolves when the response has been sent or the client has left. Never rejects. */
  closed(): Promise<void>;
}

/** Plain facts about the current request. */
export interface RequestFacts {
  readonly requestId: string;
  /** The client's address, resolved as TRUST_PROXY allows. */
  readonly ip: string;
  readonly userAgent: string | null;
  /** The Origin header; null if there is none, or if the browser marks the request as same-origin (Sec-Fetch-Site). */
  readonly origin: string | null;
  /** The bearer token of the Authorization header. */
  readonly bearer: string | null;
  /** Every value sent under the refresh cookie's name; more than one suggests cookie tossing. */
  readonly refreshCookies: readonly string[];
  /** Whether the client has disconnected by now, so that no response can reach it. */
  readonly hasDisconnected: boolean;
}

/** The context of one HTTP request; the calls of a batch share it. */
export interface Context {
  readonly request: RequestFacts;
  readonly reply: Reply;
  readonly services: Services;
  readonly limits: RateLimits;
  readonly logger: Logger;
  /** Null when tracing is off. */
  readonly tracer: Tracer | null;
  /** Facts for the request's single log line. */
  readonly notes: RequestNotes;
  /** Returns who the bearer is, looked up once per request. Throws UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED. */
  principal(): Promise<Principal>;
  /** Starts watching the bearer. Each call returns a separate watch, which its caller must stop. */
  watchAuthority(): AuthorityWatch;
}

/** Clears the refresh cookie if the request sent one. */
export function clearRefreshCookie({ request, reply }: Pick<Context, "request" | "reply">): void {
  if (request.refreshCookies.length > 0) reply.setRefreshCookie(null, 0);
}
