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
  /** Tries the refresh cookie: on load, and after coming back from Google. */
  readonly start: () => Promise<void>;
  /** Called with every refusal, so that a sign-in ended elsewhere is noticed. */
  readonly onRefusal: (error: unknown) => void;
}

/** A "no" to the refresh token itself. */
const NOT_SIGNED_IN = [
  "UNAUTHENTICATED",
  "TOKEN_EXPIRED",
  "SESSION_REVOKED",
  "REFRESH_REUSED",
] as const;

/** As the client's own renewals: shorter than the server takes a token for, whose successor got lost on the way. */
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
        // A refusal stays a refusal; only a lost or unavailable answer is worth one more call.
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
      // As the client's own renewals do: in turn with other tabs, and a second time at once where no answer came.
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
  /** After a sign-in has ended: the cookie may be of a newer one, or somebody else's, who gets the page anew. */
  const resume = () =>
    void start().then(() =>
      queryClient.invalidateQueries({ predicate: ({ state }) => state.status === "error" }),
    );
  const onRefusal = (error: unknown) => {
    // An ended access token is renewed by the client; a sign-in ended elsewhere is told to whichever call comes next.
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

/** The connection of the tree this component is in. */
export function useSkywork(): Skywork {
  const skywork = useContext(SkyworkContext);
  if (skywork === null) throw new Error("useSkywork needs a SkyworkProvider above it.");
  return skywork;
}

/** Follows whether somebody is signed in. */
export function useSessionStatus(): SessionStatus {
  const { session } = useSkywork();
  return useSyncExternalStore(session.subscribe, session.status);
}
