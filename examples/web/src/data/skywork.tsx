// The connection to the backend: the typed client, the session, and their place in the React tree.
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { type AppRouter, createClient, refreshInTurn } from "@skywork/shared";
import type { TRPCClient } from "@trpc/client";
import { createContext, type ReactNode, useContext, useSyncExternalStore } from "react";
import { appError, hasCode } from "../words.ts";
import { createSession, type Session, type SessionStatus } from "./session.ts";

export interface Skywork {
  readonly api: TRPCClient<AppRouter>;
  readonly session: Session;
  readonly queryClient: QueryClient;
  readonly apiUrl: string;
  /** Tries the refresh cookie, on load and after returning from Google. */
  readonly start: () => Promise<void>;
  /** Called with every error, so that a session ended elsewhere is noticed. */
  readonly onRefusal: (error: unknown) => void;
}

/** The codes that reject the refresh token itself. */
const NOT_SIGNED_IN = [
  "UNAUTHENTICATED",
  "TOKEN_EXPIRED",
  "SESSION_REVOKED",
  "REFRESH_REUSED",
] as const;

/** As for the client's own refreshes: shorter than the 10 s in which a token whose successor was lost still works. */
const REFRESH_TIMEOUT_MS = 8_000;

/** Connects to the API at `apiUrl`, e.g. `http://localhost:5000`. */
export function createSkywork(apiUrl: string): Skywork {
  const session = createSession();
  const api = createClient({
    url: `${apiUrl}/api/trpc`,
    getAccessToken: session.accessToken,
    onAccessToken: (accessToken) => session.accept(accessToken),
    onSignedOut: () => resume(),
  });
  const queryClient = new QueryClient({
    queryCache: new QueryCache({ onError: (error) => onRefusal(error) }),
    mutationCache: new MutationCache({ onError: (error) => onRefusal(error) }),
    defaultOptions: {
      queries: {
        staleTime: Number.POSITIVE_INFINITY,
        gcTime: 30 * 60_000,
        refetchOnWindowFocus: false,
        refetchOnReconnect: false,
        // Retrying a refusal is pointless. Only a lost response or an unavailable server is worth one more call.
        retry: (attempts, error) =>
          attempts < 1 && (appError(error) === null || hasCode(error, "SERVICE_UNAVAILABLE")),
      },
      mutations: { networkMode: "always" },
    },
  });
  session.subscribe(() => {
    if (session.status() === "signedOut") queryClient.clear();
  });
  let starting: Promise<void> | null = null;
  const refresh = () =>
    api.auth.refresh.mutate(undefined, { signal: AbortSignal.timeout(REFRESH_TIMEOUT_MS) });
  const tryCookie = async () => {
    try {
      // Like the client's own refreshes: in turn with other tabs, and retried once, immediately, without a response.
      await refreshInTurn(() =>
        refresh().catch((error: unknown) => {
          if (appError(error) !== null) throw error;
          return refresh();
        }),
      );
    } catch (error) {
      if (NOT_SIGNED_IN.some((code) => hasCode(error, code))) session.accept(null);
      else session.markUnreachable();
    }
  };
  const start = () => {
    starting ??= tryCookie().finally(() => {
      starting = null;
    });
    return starting;
  };
  /** After a session has ended: the cookie may belong to a newer one, or to another user, which reloads the page. */
  const resume = () =>
    void start().then(() =>
      queryClient.invalidateQueries({ predicate: ({ state }) => state.status === "error" }),
    );
  const onRefusal = (error: unknown) => {
    // The client refreshes an expired access token itself. A session ended elsewhere is reported to the next call.
    if (session.status() === "signedIn" && hasCode(error, "SESSION_REVOKED")) resume();
  };
  return { api, session, queryClient, apiUrl, start, onRefusal };
}

const SkyworkContext = createContext<Skywork | null>(null);

export function SkyworkProvider({ skywork, children }: { skywork: Skywork; children: ReactNode }) {
  return (
    <SkyworkContext value={skywork}>
      <QueryClientProvider client={skywork.queryClient}>{children}</QueryClientProvider>
    </SkyworkContext>
  );
}

/** The connection provided by the nearest SkyworkProvider. */
export function useSkywork(): Skywork {
  const skywork = useContext(SkyworkContext);
  if (skywork === null) throw new Error("useSkywork needs a SkyworkProvider above it.");
  return skywork;
}

/** Subscribes to the sign-in state. */
export function useSessionStatus(): SessionStatus {
  const { session } = useSkywork();
  return useSyncExternalStore(session.subscribe, session.status);
}
