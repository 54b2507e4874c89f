// The sign-in page, and the page to which the sign-in at Google returns.
import { useEffect, useRef, useState } from "react";
import { useConfig } from "../data/queries.ts";
import { useSkywork } from "../data/skywork.tsx";
import { leaveFor, navigate, safePath, usePageTitle } from "../router.tsx";
import { Button, Failure, Notice, Skeleton } from "../ui/basics.tsx";
import { GoogleMark, Mark } from "../ui/icons.tsx";
import { signInSentence } from "../words.ts";

/** What a signed-out user sees at every path. `returnTo` is the path they wanted. */
export function SignIn({
  returnTo,
  errorCode,
  isGoodbye = false,
}: {
  returnTo: string;
  errorCode?: string;
  /** Whether the account has just been deleted. */
  isGoodbye?: boolean;
}) {
  usePageTitle("Sign in");
  const config = useConfig();
  const [leaving, setLeaving] = useState(false);
  const google = config.data?.providers.find((provider) => provider.id === "google");
  return (
    <main className="door" id="main">
      <section className="door-card">
        <Mark size={52} />
        <h1>Welcome to Skywork</h1>
        {isGoodbye && (
          <Notice tone="good" title="Your account has been deleted">
            Your personal data has been erased. You can sign up again at any time.
          </Notice>
        )}
        <p className="soft">Chat and slides, pay as you go. Your first credits are free.</p>
        {errorCode !== undefined && (
          <Notice tone="bad" title="Sign-in failed">
            {signInSentence(errorCode)}
          </Notice>
        )}
        {google && (
          <Button
            className="google"
            busy={leaving}
            onClick={() => {
              setLeaving(true);
              void leaveFor(signInUrl(google.url, returnTo)).then(() => setLeaving(false));
            }}
          >
            {!leaving && <GoogleMark />} Continue with Google
          </Button>
        )}
        {config.isFetching && <Skeleton lines={1} />}
        {!config.isFetching && <Failure error={config.error} />}
        {config.error !== null && !config.isFetching && (
          <Button onClick={() => void config.refetch()}>Try again</Button>
        )}
        {config.data?.sandbox && (
          <p className="hint">
            <b>Sandbox.</b> No Google account is needed: pick a test account on the next page. No
            real money is charged.
          </p>
        )}
      </section>
    </main>
  );
}

function signInUrl(providerUrl: string, returnTo: string): string {
  const url = new URL(providerUrl);
  if (returnTo !== "/") url.searchParams.set("returnTo", returnTo);
  return url.href;
}

/**
 * `/auth/callback`: with `?error=`, shows the reason. Otherwise the cookie has been set, so the page fetches an access
 * token and continues to `returnTo`. Opened by hand, it leads to the sign-in page or, if signed in, to the home page.
 */
export function AuthCallback() {
  usePageTitle("Signing in");
  const { start, session } = useSkywork();
  const started = useRef(false);
  const query = new URLSearchParams(window.location.search);
  const errorCode = query.get("error");
  const returnTo = safePath(query.get("returnTo"));
  useEffect(() => {
    if (errorCode !== null || started.current) return;
    started.current = true;
    void start().then(() => {
      if (session.status() !== "unreachable") navigate(returnTo, { replace: true });
    });
  }, [errorCode, returnTo, start, session]);
  if (errorCode !== null) return <SignIn returnTo={returnTo} errorCode={errorCode} />;
  return <Starting />;
}

/** Shown until the sign-in state is known. */
export function Starting() {
  return (
    <main className="door" role="status">
      <Mark size={52} />
      <span className="visually-hidden">Loading…</span>
    </main>
  );
}

/** Shown when the API does not respond at all. */
export function Unreachable() {
  usePageTitle("Offline");
  const { start, apiUrl } = useSkywork();
  const [busy, setBusy] = useState(false);
  return (
    <main className="door">
      <section className="door-card">
        <Mark size={52} />
        <h1>We cannot reach Skywork</h1>
        <p className="soft">
          If you were signed in, you still are. Check your connection and that the server is running
          at <code>{apiUrl}</code>.
        </p>
        <Button
          kind="main"
          busy={busy}
          onClick={() => {
            setBusy(true);
            void start().finally(() => setBusy(false));
          }}
        >
          Try again
        </Button>
      </section>
    </main>
  );
}
