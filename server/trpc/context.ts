// What every procedure gets: plain values and services. No Express, no vendor types, so tests need no HTTP.
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

/** The services behind the routers, made once by app.ts. */
export interface Services {
  readonly auth: AuthService;
  readonly user: UserService;
  readonly credit: CreditService;
  readonly payment: PaymentService;
  readonly ai: AiService;
  readonly service: WorkersService;
  readonly admin: AdminService;
}

/** What a procedure may do to the HTTP answer, when there is one. */
export interface Reply {
  setHeader(name: string, value: string): void;
  /** Says where the client stands; of several windows that were counted, the one with the least left. */
  setRateState(state: RateState): void;
  /** Sets the refresh cookie for `maxAgeSeconds`; null clears it. */
  setRefreshCookie(token: string | null, maxAgeSeconds: number): void;
}

/** The plain facts of the request at hand. */
export interface RequestFacts {
  readonly requestId: string;
  /** The client's address as TRUST_PROXY allows it to be known. */
  readonly ip: string;
  readonly userAgent: string | null;
  /** The Origin header as sent. */
  readonly origin: string | null;
  /** The bearer of the Authorization header. */
  readonly bearer: string | null;
  /** Every value sent under the refresh cookie's name (more than one = tossing). */
  readonly refreshCookies: readonly string[];
  /** Whether the client has gone by now, and no answer reaches it any more. */
  readonly hasLeft: boolean;
}

/** The context of one HTTP request; a batch shares it. */
export interface Context {
  readonly request: RequestFacts;
  readonly reply: Reply;
  readonly services: Services;
  readonly limits: RateLimits;
  readonly logger: Logger;
  /** Null = nothing is traced. */
  readonly tracer: Tracer | null;
  /** For the request's one log line. */
  readonly notes: RequestNotes;
  /** Who the bearer is; looked up once per request. Throws UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED. */
  principal(): Promise<Principal>;
  /** Watches the bearer from now on; every caller gets a watch of its own and stops it. */
  watchAuthority(): AuthorityWatch;
}

/** Clears the refresh cookie where the request sent one. */
export function clearRefreshCookie({ request, reply }: Pick<Context, "request" | "reply">): void {
  if (request.refreshCookies.length > 0) reply.setRefreshCookie(null, 0);
}
