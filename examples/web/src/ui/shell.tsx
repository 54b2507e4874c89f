// The frame of every signed-in page: the bar at the top (at the bottom on a phone), the balance, the main region.
import { type ReactNode, useState } from "react";
import { useLiveBalance } from "../data/changes.ts";
import { useBalance, useMe } from "../data/queries.ts";
import { useRunsInBackground } from "../data/workspace.ts";
import { number } from "../format.ts";
import { Link, usePath } from "../router.tsx";
import { Icon, type IconName, Mark } from "./icons.tsx";

interface Place {
  readonly to: string;
  readonly label: string;
  readonly icon: IconName;
}

const ADMIN_PLACE: Place = { to: "/admin", label: "Admin", icon: "shield" };

const PLACES: readonly Place[] = [
  { to: "/", label: "Home", icon: "home" },
  { to: "/chat", label: "Chat", icon: "chat-pro" },
  { to: "/slides", label: "Slides", icon: "ppt-generate" },
  { to: "/credits", label: "Credits", icon: "coins" },
  { to: "/plan", label: "Plan", icon: "plan" },
  { to: "/activity", label: "Activity", icon: "activity" },
  { to: "/account", label: "Account", icon: "account" },
];

export function Shell({ children }: { children: ReactNode }) {
  const path = usePath();
  const live = useLiveBalance();
  useRunsInBackground();
  const isAdmin = useMe().data?.user.role === "ADMIN";
  const places = isAdmin ? [...PLACES, ADMIN_PLACE] : PLACES;
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <header className="bar">
        <Link to="/" className="brand">
          <Mark /> Skywork
        </Link>
        <nav className="places" aria-label="Main">
          {places.map((place) => (
            <Link
              key={place.to}
              to={place.to}
              aria-current={isAt(path, place.to) ? "page" : undefined}
            >
              <Icon name={place.icon} />
              <span>{place.label}</span>
            </Link>
          ))}
        </nav>
        <BalancePill live={live} />
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

/** Whether `path` is at or below `place`. */
function isAt(path: string, place: string): boolean {
  return path === place || (place !== "/" && path.startsWith(`${place}/`));
}

/** The balance, shown on every page and announced when it changes, with a dot that shows whether it is live. */
function BalancePill({ live }: { live: boolean }) {
  const balance = useBalance();
  const me = useMe();
  const available = balance.data?.available;
  return (
    <div className="me">
      <Link to="/credits" className="pill" title={live ? "Live updates on" : "Live updates off"}>
        <span className={live ? "dot on" : "dot"} aria-hidden="true" />
        <span aria-live="polite" aria-atomic="true">
          <b data-testid="pill-credits">{available === undefined ? "–" : number(available)}</b>
          <span className="visually-hidden"> credits available</span>
        </span>
      </Link>
      <Link to="/account" className="face" aria-label="Your account">
        <Face
          avatar={me.data?.user.avatar ?? null}
          name={me.data?.user.name ?? me.data?.user.email ?? ""}
        />
      </Link>
    </div>
  );
}

/** The user's avatar, or the first letter of their name when there is none or it cannot be loaded. */
export function Face({ avatar, name }: { avatar: string | null; name: string }) {
  const [broken, setBroken] = useState<string | null>(null);
  if (avatar !== null && avatar !== broken) {
    return (
      <img src={avatar} alt="" referrerPolicy="no-referrer" onError={() => setBroken(avatar)} />
    );
  }
  return <span aria-hidden="true">{name.slice(0, 1).toUpperCase()}</span>;
}
