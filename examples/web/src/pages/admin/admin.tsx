// The admin area: its tabs, shown to administrators only. The server checks again on every call.
import { useMe } from "../../data/queries.ts";
import { Link, usePageTitle, usePath } from "../../router.tsx";
import { Skeleton } from "../../ui/basics.tsx";
import { Events } from "./events.tsx";
import { Overview } from "./overview.tsx";
import { UserDetail } from "./user-detail.tsx";
import { UserSearch } from "./user-search.tsx";

const TABS = [
  { to: "/admin", label: "Overview" },
  { to: "/admin/users", label: "Users" },
  { to: "/admin/events", label: "Stripe events" },
] as const;

export function AdminPage() {
  const me = useMe();
  const [, , tab, id] = usePath().split("/");
  const title = id === undefined ? `Admin${tab === undefined ? "" : `: ${tab}`}` : "Admin: user";
  usePageTitle(title);
  if (me.data === undefined) return <Skeleton lines={6} />;
  if (me.data.user.role !== "ADMIN")
    return (
      <div className="page narrow">
        <section className="card center">
          <h1>This area is for administrators</h1>
          <p className="soft">
            The operator of this server lists them in <code>ADMIN_EMAILS</code>.
          </p>
        </section>
      </div>
    );
  const here = tab === undefined || tab === "" ? "/admin" : `/admin/${tab}`;
  return (
    <div className="page">
      <header className="page-head with-actions">
        <h1>Admin</h1>
        <nav className="tabs" aria-label="Admin">
          {TABS.map(({ to, label }) => (
            <Link key={to} to={to} aria-current={to === here ? "page" : undefined}>
              {label}
            </Link>
          ))}
        </nav>
      </header>
      {here === "/admin" && <Overview />}
      {here === "/admin/users" && (id === undefined ? <UserSearch /> : <UserDetail userId={id} />)}
      {here === "/admin/events" && <Events />}
    </div>
  );
}
