// Creates the client: tRPC's official one with batching, server-sent events and automatic renewal of access tokens.
import {
  createTRPCClient,
  httpBatchLink,
  httpLink,
  httpSubscriptionLink,
  type Operation,
  splitLink,
  type TRPCClient,
  TRPCClientError,
  type TRPCLink,
} from "@trpc/client";
import { observable } from "@trpc/server/observable";
import { FetchEventSource } from "./event-source.ts";
import { isRenewable } from "./refusal.ts";
import type { AppRouter } from "./router.ts";
import { type ClientSession, createSession, subjectOf } from "./session.ts";

/** How to reach the backend, and who keeps the tokens. */
export interface SkyworkClientOptions {
  /** Where the router is: `https://api.example.com/api/trpc`. */
  url: string;
  /** Returns the access token if the caller keeps it. Without `onAccessToken`, the client keeps renewed ones itself. */
  getAccessToken?: () => string | null | undefined | Promise<string | null | undefined>;
  /** Called with each new access token and its expiry (ISO 8601). */
  onAccessToken?: (accessToken: string, expiresAt: string) => void;
  /** For clients without cookies (Node.js, mobile): the refresh token, kept in memory and renewed with each use. */
  refreshToken?: string;
  /** Called with each new refresh token, which replaces the old one in the caller's store. */
  onRefreshToken?: (refreshToken: string) => void;
  /** Called when the server has ended the sign-in, or the browser's cookie turns out to be another user's. */
  onSignedOut?: () => void;
  /** Whether to refresh by cookie when there is no refresh token; defaults to true in browsers. */
  cookies?: boolean;
  /** Additional headers for every request. An `authorization` header (a service key) replaces the access token. */
  headers?: () => Record<string, string> | Promise<Record<string, string>>;
  /** Defaults to the global fetch. */
  fetch?: typeof globalThis.fetch;
}

/** The server accepts no more calls in one batch. */
const MAX_BATCH_ITEMS = 10;
/** Delay between attempts to renew a stream's token, as between attempts to open it. */
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** Never batched: its input may be so large that the server would refuse two of them in one body. */
const UNBATCHED = "ai.start";
/** Batches with longer URLs are split into several requests, because proxies and servers refuse such URLs. */
const MAX_URL_LENGTH = 8_000;

/**
 * Creates the typed client. A call refused because its access token has expired is retried once after a refresh, and
 * only as the user who made it; calls refused together share one refresh. Cookies are sent, so a browser needs nothing
 * but `url`.
 */
export function createClient(options: SkyworkClientOptions): TRPCClient<AppRouter> {
  const plainFetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const url = options.url.replace(/\/+$/, "");
  const session = createSession({ ...options, url, fetch: plainFetch });
  const callers: Callers = new WeakMap();
  const headers = async (operations: readonly Operation[]): Promise<Record<string, string>> => {
    const token = await session.accessToken();
    const person = subjectOf(token) ?? session.person();
    for (const { context } of operations)
      if (person !== null && !callers.has(context)) callers.set(context, person);
    return {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(await options.headers?.()),
    };
  };
  const http = {
    url,
    fetch: (input: unknown, init: unknown) =>
      plainFetch(input as string, { ...(init as RequestInit), credentials: "include" }),
  };
  return createTRPCClient<AppRouter>({
    links: [
      renewing(session, callers),
      splitLink({
        condition: (operation) => operation.type === "subscription",
        true: httpSubscriptionLink({
          url,
          EventSource: FetchEventSource,
          eventSourceOptions: ({ op }) => ({ fetch: plainFetch, headers: () => headers([op]) }),
        }),
        false: splitLink({
          condition: (operation) => operation.path === UNBATCHED,
          true: httpLink({ ...http, headers: ({ op }) => headers([op]) }),
          false: httpBatchLink({
            ...http,
            headers: ({ opList }) => headers(opList),
            maxItems: MAX_BATCH_ITEMS,
            maxURLLength: MAX_URL_LENGTH,
          }),
        }),
      }),
    ],
  });
}

/** The user of each call, by its operation's context: the subject of the token it was first sent with. */
type Callers = WeakMap<object, string>;

/** Retries a call once after a refresh, and updates the session when the caller calls `auth.refresh` or logs out. */
function renewing(session: ClientSession, callers: Callers): TRPCLink<AppRouter> {
  return () =>
    ({ op, next }) =>
      observable((observer) => {
        const isSignIn = op.path === "auth.refresh" || op.path === "auth.logout";
        let mayRenew = !isSignIn;
        let ended = false;
        let stop: () => void = () => undefined;
        // Each attempt is a new connection to tRPC's link, which knows nothing of the previous one's events.
        let lastEventId: string | undefined;
        // A copy, because the caller may pass the same context to several calls.
        const context = { ...op.context };

        function attempt(): void {
          let startedAtMs = performance.now();
          const subscription = next({ ...resumed(op, lastEventId), context }).subscribe({
            next(envelope) {
              const { result } = envelope;
              if ("id" in result && typeof result.id === "string") lastEventId = result.id;
              if ("data" in result) {
                if (op.path === "auth.refresh") session.accept(result.data);
                if (op.path === "auth.logout" || op.path === "auth.logoutAll") session.forget();
                // A stream that has delivered something may need another token hours later; the renewal from before
                // that does not help then.
                mayRenew = !isSignIn;
                if (op.type === "subscription") startedAtMs = performance.now();
              }
              observer.next(envelope);
            },
            error(error) {
              if (!mayRenew || !(error instanceof TRPCClientError) || !isRenewable(error.data)) {
                observer.error(error);
                return;
              }
              mayRenew = false;
              renewAfter(error, startedAtMs, FIRST_RETRY_MS);
            },
            complete: () => observer.complete(),
          });
          stop = () => subscription.unsubscribe();
        }

        /** Continues with a new token. While the server is unavailable a stream keeps trying: nothing else would. */
        function renewAfter(error: TRPCClientError<AppRouter>, sinceMs: number, retryMs: number) {
          const person = callers.get(context) ?? null;
          void session.renew({ sinceMs, person }).then((outcome) => {
            if (ended) return;
            if (outcome === "renewed") return attempt();
            if (outcome === "refused" || op.type !== "subscription") return observer.error(error);
            observer.next({ result: { type: "state", state: "connecting", error } });
            const next = Math.min(retryMs * 2, MAX_RETRY_MS);
            const timer = setTimeout(
              () => renewAfter(error, sinceMs, next),
              retryMs * (0.75 + Math.random() / 2),
            );
            stop = () => clearTimeout(timer);
          });
        }

        attempt();
        return () => {
          ended = true;
          stop();
        };
      });
}

/** Returns the operation resumed after the last event of a tracked stream; unchanged if none has arrived. */
function resumed(op: Operation, lastEventId: string | undefined): Operation {
  if (lastEventId === undefined) return op;
  return { ...op, input: { ...(op.input as object | undefined), lastEventId } };
}
