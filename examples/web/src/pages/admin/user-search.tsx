// The search for users.
import { type FormEvent, useState } from "react";
import { useUsers } from "../../data/admin.ts";
import { credits, date } from "../../format.ts";
import { Link } from "../../router.tsx";
import { Badge, Button, Card, Empty, Loaded, Pager } from "../../ui/basics.tsx";

export function UserSearch() {
  const [typed, setTyped] = useState("");
  const [search, setSearch] = useState("");
  const [cursors, setCursors] = useState<readonly (string | undefined)[]>([undefined]);
  const users = useUsers(search, cursors.at(-1));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setSearch(typed.trim());
    setCursors([undefined]);
  };
  return (
    <Card title="Users">
      <form className="row-form" onSubmit={submit} role="search">
        <label className="field">
          <span>Name, e-mail address or ID</span>
          <input
            type="search"
            value={typed}
            maxLength={200}
            onChange={(event) => setTyped(event.target.value)}
          />
        </label>
        <Button type="submit" kind="main" busy={users.isFetching}>
          Search
        </Button>
      </form>
      <Loaded query={users} lines={6}>
        {(data) => (
          <>
            {data.users.length === 0 && <Empty>No users found.</Empty>}
            <ul className="list" data-testid="users">
              {data.users.map((user) => (
                <li key={user.id}>
                  <span>
                    <Link to={`/admin/users/${user.id}`}>
                      <b>{user.name ?? user.email}</b>
                    </Link>{" "}
                    {user.role === "ADMIN" && <Badge tone="soft">Administrator</Badge>}{" "}
                    {user.disabledAt !== null && <Badge tone="bad">Disabled</Badge>}{" "}
                    {user.deletedAt !== null && <Badge tone="soft">Deleted</Badge>}
                    <span className="soft">
                      {user.email} · joined {date(user.createdAt)}
                    </span>
                  </span>
                  <span className="figure">{credits(user.credits)}</span>
                </li>
              ))}
            </ul>
            <Pager
              label="Pages of users"
              busy={users.isFetching}
              newer={cursors.length > 1 ? () => setCursors(cursors.slice(0, -1)) : null}
              older={
                data.nextCursor === null
                  ? null
                  : () => setCursors([...cursors, data.nextCursor ?? undefined])
              }
            >
              Page {cursors.length}
            </Pager>
          </>
        )}
      </Loaded>
    </Card>
  );
}
