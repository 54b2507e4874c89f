// Chooses the page to show, by whether the user is signed in and then by the path.
import { type ComponentType, lazy, Suspense, useEffect } from "react";
import { useSessionStatus, useSkywork } from "./data/skywork.tsx";
import { Account } from "./pages/account.tsx";
import { Activity } from "./pages/activity.tsx";
import { Credits } from "./pages/credits.tsx";
import { Home } from "./pages/home.tsx";
import { PaymentCancel, PaymentSuccess } from "./pages/payment-return.tsx";
import { PlanPage } from "./pages/plan.tsx";
import { AuthCallback, SignIn, Starting, Unreachable } from "./pages/sign-in.tsx";
import { Link, safePath, useFocusAfterRemoval, usePageTitle, usePath } from "./router.tsx";
import { Skeleton } from "./ui/basics.tsx";
import { Shell } from "./ui/shell.tsx";

// Loaded lazily, because only these pages need the code for Markdown, files and tables.
const Chat = lazy(() => import("./pages/chat.tsx").then((file) => ({ default: file.ChatPage })));
const Slides = lazy(() =>
  import("./pages/slides.tsx").then((file) => ({ default: file.SlidesPage })),
);
const Admin = lazy(() =>
  import("./pages/admin/admin.tsx").then((file) => ({ default: file.AdminPage })),
);

const PAGES: Record<string, ComponentType> = {
  "/": Home,
  "/goodbye": Home,
  "/credits": Credits,
  "/plan": PlanPage,
  "/activity": Activity,
  "/account": Account,
  "/payment/success": PaymentSuccess,
  "/payment/cancel": PaymentCancel,
};

/** Pages that also handle paths below their own: `/chat/ID`, `/slides/ID`, `/admin/users/ID`. */
const SECTIONS: Record<string, ComponentType> = {
  "/chat": Chat,
  "/slides": Slides,
  "/admin": Admin,
};

export function App() {
  const path = usePath();
  const status = useSessionStatus();
  useFocusAfterRemoval();
  const { start } = useSkywork();
  const onCallback = path === "/auth/callback";
  useEffect(() => {
    // The callback page starts the session itself, after checking how the sign-in at Google went.
    if (!onCallback && status === "starting") void start();
  }, [onCallback, status, start]);

  if (status === "unreachable") return <Unreachable />;
  if (onCallback) return <AuthCallback />;
  if (status === "starting") return <Starting />;
  if (status === "signedOut") {
    if (path === "/goodbye") return <SignIn returnTo="/" isGoodbye />;
    return <SignIn returnTo={safePath(window.location.pathname + window.location.search)} />;
  }
  const Page = PAGES[path.replace(/(.)\/+$/, "$1")] ?? SECTIONS[sectionOf(path)] ?? NotFound;
  return (
    <Shell>
      <Suspense fallback={<Skeleton lines={6} />}>
        <Page />
      </Suspense>
    </Shell>
  );
}

/** `/chat/ID` → `/chat`. */
function sectionOf(path: string): string {
  return `/${path.split("/")[1] ?? ""}`;
}

function NotFound() {
  usePageTitle("Not found");
  return (
    <div className="page narrow">
      <section className="card center">
        <h1>Page not found</h1>
        <p className="soft">The address may be mistyped, or the page has moved.</p>
        <p className="actions center">
          <Link to="/" className="button main">
            Home
          </Link>
        </p>
      </section>
    </div>
  );
}
