// A user's permissions: their role, and whether they may sign in at all. Each change asks for a reason first.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { afterAdminWrite, type UserLine } from "../../data/admin.ts";
import { useSkywork } from "../../data/skywork.tsx";
import { Button, Card, Failure } from "../../ui/basics.tsx";
import { Dialog } from "../../ui/dialog.tsx";

type Change = "disable" | "enable" | "promote" | "demote";

const WORDS: Record<Change, { button: string; title: string; text: string }> = {
  disable: {
    button: "Disable",
    title: "Disable this account?",
    text: "They will be signed out everywhere immediately and won't be able to sign in. Their credits are kept.",
  },
  enable: {
    button: "Enable",
    title: "Enable this account?",
    text: "They will be able to sign in again.",
  },
  promote: {
    button: "Make administrator",
    title: "Make them an administrator?",
    text: "They will be able to do everything you can do here.",
  },
  demote: {
    button: "Remove administrator rights",
    title: "Remove their administrator rights?",
    text: "They will become a regular user. The last administrator's rights can't be removed.",
  },
};

export function Authority({ user }: { user: UserLine }) {
  const [asking, setAsking] = useState<Change | null>(null);
  const changes: Change[] = [
    user.disabledAt === null ? "disable" : "enable",
    user.role === "ADMIN" ? "demote" : "promote",
  ];
  return (
    <Card title="Permissions">
      <div className="actions">
        {changes.map((change) => (
          <Button
            key={change}
            kind={change === "disable" || change === "demote" ? "danger" : "plain"}
            onClick={() => setAsking(change)}
          >
            {WORDS[change].button}
          </Button>
        ))}
      </div>
      {asking !== null && <AskReason user={user} change={asking} onClose={() => setAsking(null)} />}
    </Card>
  );
}

function AskReason(props: { user: UserLine; change: Change; onClose: () => void }) {
  const { user, change, onClose } = props;
  const { api } = useSkywork();
  const queryClient = useQueryClient();
  const [reason, setReason] = useState("");
  const apply = useMutation({
    mutationFn: () => {
      const given = { userId: user.id, ...(reason.trim() === "" ? {} : { reason: reason.trim() }) };
      if (change === "disable") return api.admin.disableUser.mutate(given);
      if (change === "enable") return api.admin.enableUser.mutate(given);
      const role = change === "promote" ? "ADMIN" : "USER";
      return api.admin.setRole.mutate({ ...given, role });
    },
    onSuccess: () => {
      onClose();
      return afterAdminWrite(queryClient);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!apply.isPending) apply.mutate();
  };
  const { title, text, button } = WORDS[change];
  return (
    <Dialog
      title={title}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" form="authority" kind="danger" busy={apply.isPending}>
            {button}
          </Button>
        </>
      }
    >
      <form id="authority" onSubmit={submit}>
        <p>{text}</p>
        <label className="field">
          <span>Reason (kept in the audit log)</span>
          <input
            value={reason}
            maxLength={500}
            onChange={(event) => setReason(event.target.value)}
          />
        </label>
        <Failure error={apply.error} />
      </form>
    </Dialog>
  );
}
