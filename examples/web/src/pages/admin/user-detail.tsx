// One user as an administrator sees them: balance and lots, payments with refunds, permissions, audit log.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { afterAdminWrite, type UserLine, type UserPage, useUser } from "../../data/admin.ts";
import { useActionKey, usePress } from "../../data/presses.ts";
import { useSkywork } from "../../data/skywork.tsx";
import { credits, date, dateTime, number } from "../../format.ts";
import { Badge, Button, Card, Empty, Failure, Loaded, Pager } from "../../ui/basics.tsx";
import { isUncertain, sourceName } from "../../words.ts";
import { Entries } from "../entries.tsx";
import { Authority } from "./authority.tsx";
import { Payments } from "./payments.tsx";

export function UserDetail({ userId }: { userId: string }) {
  const [cursors, setCursors] = useState<readonly (string | undefined)[]>([undefined]);
  const user = useUser(userId, cursors.at(-1));
  return (
    <Loaded query={user} lines={8}>
      {(data) => (
        <>
          <Person data={data} />
          {data.user.deletedAt === null && (
            <>
              <Adjust user={data.user} />
              <Authority user={data.user} />
            </>
          )}
          <History
            history={data.history}
            busy={user.isFetching}
            cursors={cursors}
            onTurn={setCursors}
          />
          <Payments payments={data.payments} />
          <Lots grants={data.grants} />
          <Record audit={data.audit} />
        </>
      )}
    </Loaded>
  );
}

function Person({ data: { user, subscription } }: { data: UserPage }) {
  return (
    <Card
      title={user.name ?? user.email}
      aside={
        <span>
          {user.role === "ADMIN" && <Badge tone="soft">Administrator</Badge>}{" "}
          {user.disabledAt !== null && <Badge tone="bad">Disabled</Badge>}{" "}
          {user.deletedAt !== null && <Badge tone="soft">Deleted</Badge>}
        </span>
      }
    >
      <dl className="facts wide" data-testid="person">
        <div>
          <dt>Credits</dt>
          <dd>{number(user.credits)}</dd>
        </div>
        <div>
          <dt>Held for work in progress</dt>
          <dd>{number(user.held)}</dd>
        </div>
        <div>
          <dt>Plan</dt>
          <dd>
            {subscription === null
              ? "None"
              : `${subscription.planId}, ${subscription.status}, until ${date(subscription.currentPeriodEnd)}`}
          </dd>
        </div>
        <div>
          <dt>E-mail address</dt>
          <dd>{user.email}</dd>
        </div>
        <div>
          <dt>Joined</dt>
          <dd>{date(user.createdAt)}</dd>
        </div>
        <div>
          <dt>ID</dt>
          <dd>
            <code>{user.id}</code>
          </dd>
        </div>
      </dl>
    </Card>
  );
}

function Adjust({ user }: { user: UserLine }) {
  const { api } = useSkywork();
  const queryClient = useQueryClient();
  const press = usePress();
  const key = useActionKey();
  const [amount, setAmount] = useState("");
  const [reason, setReason] = useState("");
  const adjust = useMutation({
    mutationFn: (input: { amount: number; reason: string }) =>
      api.admin.adjustCredits.mutate({
        ...input,
        userId: user.id,
        idempotencyKey: key.keyFor({ ...input, userId: user.id }),
      }),
    retry: (attempts, error) => attempts < 2 && isUncertain(error),
    onSuccess: () => {
      key.settled();
      setAmount("");
      setReason("");
      return afterAdminWrite(queryClient);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (adjust.isPending) return;
    press(`${amount} ${reason}`, () =>
      adjust.mutate({ amount: Number(amount), reason: reason.trim() }),
    );
  };
  return (
    <Card title="Adjust credits">
      <form className="row-form" onSubmit={submit}>
        <label className="field short">
          <span>Credits</span>
          <input
            type="number"
            required
            step={1}
            value={amount}
            placeholder="50 or -50"
            onChange={(event) => setAmount(event.target.value)}
          />
        </label>
        <label className="field">
          <span>Reason</span>
          <input
            required
            maxLength={500}
            value={reason}
            placeholder="Kept in the audit log"
            onChange={(event) => setReason(event.target.value)}
          />
        </label>
        <Button type="submit" kind="main" busy={adjust.isPending}>
          Adjust
        </Button>
      </form>
      <p role="status" className="soft">
        {adjust.data !== undefined && `Done. The balance is ${credits(adjust.data.balance)}.`}
      </p>
      <Failure error={adjust.error} />
    </Card>
  );
}

function History({
  history,
  busy,
  cursors,
  onTurn,
}: {
  history: UserPage["history"];
  busy: boolean;
  /** The cursors of the pages visited so far; the first page has no cursor. */
  cursors: readonly (string | undefined)[];
  onTurn: (cursors: readonly (string | undefined)[]) => void;
}) {
  const { nextCursor } = history;
  return (
    <Card title="Credit history">
      <Entries logs={history.logs} />
      <Pager
        label="Pages of the credit history"
        busy={busy}
        newer={cursors.length > 1 ? () => onTurn(cursors.slice(0, -1)) : null}
        older={nextCursor === null ? null : () => onTurn([...cursors, nextCursor])}
      >
        Page {cursors.length}
      </Pager>
    </Card>
  );
}

function Lots({ grants }: { grants: UserPage["grants"] }) {
  return (
    <Card title="Credits by source">
      {grants.length === 0 && <Empty>No credits yet.</Empty>}
      <ul className="list">
        {grants.map((grant) => (
          <li key={grant.id}>
            <span>
              <b>{sourceName(grant.source)}</b>
              <span className="soft">
                {grant.expiresAt === null ? "Never expires" : `Until ${date(grant.expiresAt)}`}
              </span>
            </span>
            <span className="figure">
              {number(grant.remaining)} <span className="soft">of {number(grant.amount)}</span>
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Record({ audit }: { audit: UserPage["audit"] }) {
  return (
    <Card title="Audit log">
      {audit.length === 0 && <Empty>No administrator actions yet.</Empty>}
      <ul className="list" data-testid="audit">
        {audit.map((line) => (
          <li key={line.id}>
            <span>
              <b>{line.action}</b>
              <span className="soft">
                {line.reason ?? "No reason given"}
                {line.actorId !== null && ` · by ${line.actorId}`}
              </span>
            </span>
            <span className="soft">{dateTime(line.createdAt)}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
