// The account page: profile, signed-in devices, data export, deletion.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { keys, useMe, useSessions } from "../data/queries.ts";
import { useSkywork } from "../data/skywork.tsx";
import { date, dateTime } from "../format.ts";
import { navigate, usePageTitle } from "../router.tsx";
import { Badge, Button, Card, Failure, Loaded } from "../ui/basics.tsx";
import { Icon } from "../ui/icons.tsx";
import { Face } from "../ui/shell.tsx";
import { appError } from "../words.ts";
import { YourData } from "./your-data.tsx";

export function Account() {
  usePageTitle("Account");
  const me = useMe();
  return (
    <div className="page">
      <header className="page-head">
        <h1>Account</h1>
      </header>
      <Loaded query={me}>
        {({ user }) => (
          <>
            <Profile user={user} />
            <Sessions />
            <YourData email={user.email} />
          </>
        )}
      </Loaded>
    </div>
  );
}

interface User {
  email: string;
  name: string | null;
  avatar: string | null;
  role: string;
  createdAt: string;
}

function Profile({ user }: { user: User }) {
  const { api } = useSkywork();
  const queryClient = useQueryClient();
  const [name, setName] = useState(user.name ?? "");
  const [avatar, setAvatar] = useState(user.avatar ?? "");
  const save = useMutation({
    mutationFn: () =>
      api.user.update.mutate({
        name: name.trim(),
        avatar: avatar.trim() === "" ? null : avatar.trim(),
      }),
    onSuccess: (answer) => {
      queryClient.setQueryData([...keys.me], answer);
      setName(answer.user.name ?? "");
      setAvatar(answer.user.avatar ?? "");
    },
  });
  const refused = appError(save.error);
  const fields: Record<string, string[]> =
    refused?.code === "VALIDATION_FAILED" ? refused.fields : {};
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <Card
      title="Profile"
      aside={user.role === "ADMIN" ? <Badge tone="soft">Administrator</Badge> : null}
    >
      <div className="person">
        <span className="face big">
          <Face avatar={user.avatar} name={user.name ?? user.email} />
        </span>
        <span>
          <b>{user.name ?? user.email}</b>
          <span className="soft">
            {user.email} · joined {date(user.createdAt)}
          </span>
        </span>
      </div>
      <form onSubmit={submit}>
        <Field
          label="Name"
          value={name}
          onChange={setName}
          required
          maxLength={200}
          autoComplete="name"
          problem={fields["name"]?.[0]}
        />
        <Field
          label="Picture URL (https, optional)"
          value={avatar}
          onChange={setAvatar}
          type="url"
          maxLength={2048}
          problem={fields["avatar"]?.[0]}
        />
        <div className="actions">
          <Button type="submit" kind="main" busy={save.isPending}>
            Save
          </Button>
          <span role="status" className="soft">
            {save.isSuccess && "Saved."}
          </span>
        </div>
        {refused?.code !== "VALIDATION_FAILED" && <Failure error={save.error} />}
      </form>
    </Card>
  );
}

function Field(props: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  type?: string;
  required?: boolean;
  maxLength: number;
  autoComplete?: string;
  problem?: string;
}) {
  return (
    <label className="field">
      <span>{props.label}</span>
      <input
        type={props.type ?? "text"}
        value={props.value}
        required={props.required}
        maxLength={props.maxLength}
        autoComplete={props.autoComplete ?? "off"}
        aria-invalid={props.problem !== undefined}
        onChange={(event) => props.onChange(event.target.value)}
      />
      {props.problem !== undefined && (
        <span className="problem" role="alert">
          {props.problem}
        </span>
      )}
    </label>
  );
}

function Sessions() {
  const { api, session } = useSkywork();
  const queryClient = useQueryClient();
  const sessions = useSessions();
  const revoke = useMutation({
    mutationFn: (sessionId: string) => api.auth.revokeSession.mutate({ sessionId }),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: [...keys.sessions] }),
  });
  const leave = () => {
    // The next user to sign in here starts on the home page.
    navigate("/", { replace: true });
    session.leave();
  };
  const signOut = useMutation({
    mutationFn: () => api.auth.logout.mutate(),
    onSuccess: leave,
  });
  const signOutAll = useMutation({
    mutationFn: () => api.auth.logoutAll.mutate(),
    onSuccess: leave,
  });
  return (
    <Card title="Signed-in devices">
      <Loaded query={sessions}>
        {(data) => (
          <ul className="list" data-testid="sessions">
            {data.sessions.map((entry) => (
              <li key={entry.id}>
                <span>
                  <b>
                    {deviceName(entry.userAgent)}{" "}
                    {entry.current && <Badge tone="good">This device</Badge>}
                  </b>
                  <span className="soft">
                    {entry.ipAddress ?? "Unknown address"} · last used {dateTime(entry.lastUsedAt)}
                  </span>
                </span>
                {!entry.current && (
                  <Button
                    busy={revoke.isPending && revoke.variables === entry.id}
                    aria-label={`Sign out ${deviceName(entry.userAgent)}, last used ${dateTime(entry.lastUsedAt)}`}
                    onClick={() => revoke.mutate(entry.id)}
                  >
                    Sign out
                  </Button>
                )}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      <div className="actions">
        <Button busy={signOut.isPending} onClick={() => signOut.mutate()}>
          {!signOut.isPending && <Icon name="out" size={18} />} Sign out
        </Button>
        <Button busy={signOutAll.isPending} onClick={() => signOutAll.mutate()}>
          Sign out everywhere
        </Button>
      </div>
      <Failure error={revoke.error ?? signOut.error ?? signOutAll.error} />
    </Card>
  );
}

const BROWSERS = [
  ["Edg/", "Edge"],
  ["OPR/", "Opera"],
  ["Firefox/", "Firefox"],
  ["Chrome/", "Chrome"],
  ["Safari/", "Safari"],
] as const;

const SYSTEMS = [
  ["iPhone", "iPhone"],
  ["iPad", "iPad"],
  ["Android", "Android"],
  ["Windows", "Windows"],
  ["Mac OS", "Mac"],
  ["Linux", "Linux"],
] as const;

/** `Mozilla/5.0 (X11; Linux x86_64) … Chrome/…` → `Chrome on Linux`. */
function deviceName(userAgent: string | null): string {
  if (userAgent === null) return "Unknown device";
  const browser = BROWSERS.find(([sign]) => userAgent.includes(sign))?.[1];
  const system = SYSTEMS.find(([sign]) => userAgent.includes(sign))?.[1];
  if (browser !== undefined && system !== undefined) return `${browser} on ${system}`;
  return browser ?? system ?? "Unknown device";
}
