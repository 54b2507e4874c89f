// CreateClient: the official tRPC client, batching, live over server-sent events, signed in for as long as it can be.
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
  /** The access token, where the caller keeps it. Give `onAccessToken` too, or the client keeps renewed ones itself. */
  getAccessToken?: () => string | null | undefined | Promise<string | null | undefined>;
  /** Called with each new access token and its end (ISO 8601). */
  onAccessToken?: (accessToken: string, expiresAt: string) => void;
  /** For clients without cookies (Node.js, mobile): the refresh token, kept in memory and renewed with each use. */
  refreshToken?: string;
  /** Called with each new refresh token, to be stored in the place of the old one. */
  onRefreshToken?: (refreshToken: string) => void;
  /** Called when the server has ended the sign-in, or the browser's cookie turns out to be another person's. */
  onSignedOut?: () => void;
  /** Whether a refresh cookie may be there without a refresh token in hand; true in browsers. */
  cookies?: boolean;
  /** More headers for every request. `authorization` given here (a service key) counts instead of the access token. */
  headers?: () => Record<string, string> | Promise<Record<string, string>>;
  /** Instead of the global fetch. */
  fetch?: typeof globalThis.fetch;
}

/** The server takes no more calls in one batch. */
const MAX_BATCH_ITEMS = 10;
/** Between two tries to renew the token of a stream, as between two tries to open it. */
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** Goes alone: what it brings may be so large that the server would refuse two of them in one body. */
const UNBATCHED = "ai.start";
/** Longer addresses are split into several requests: proxies and servers refuse them. */
const MAX_URL_LENGTH = 8_000;

/**
 * The typed client. A call refused because its access token has ended is repeated once after a refresh, and as nobody but the
 * person who made it; calls refused together share one refresh. Cookies are sent, so in a browser nothing but `url` is needed.
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

/** Whose each call is, by the context of its operation: the person of the token it was first sent with. */
type Callers = WeakMap<object, string>;

/** Repeats a call once after a refresh, and learns from `auth.refresh` and `auth.logout` when the caller calls them. */
function renewing(session: ClientSession, callers: Callers): TRPCLink<AppRouter> {
  return () =>
    ({ op, next }) =>
      observable((observer) => {
        const isSignIn = op.path === "auth.refresh" || op.path === "auth.logout";
        let mayRenew = !isSignIn;
        let ended = false;
        let stop: () => void = () => undefined;
        // A new attempt is a new connection to tRPC's link, which then knows nothing of the events of the old one.
        let lastEventId: string | undefined;
        // Its own, whatever other calls the caller gives the same one.
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
                // A stream that has brought something may need a new token again, hours later; a renewal from before
                // it did is no help then.
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

        /** Goes on with a new token. A stream waits for one while the server cannot answer: nothing else would open it again. */
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

/** The operation going on after an event of a tracked stream; as it was where none has arrived. */
function resumed(op: Operation, lastEventId: string | undefined): Operation {
  if (lastEventId === undefined) return op;
  return { ...op, input: { ...(op.input as object | undefined), lastEventId } };
}
