// The export of the user's data, and the deletion of the account.
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { saveFile } from "../data/deck-files.ts";
import { useSkywork } from "../data/skywork.tsx";
import { eraseWorkspace } from "../data/workspace.ts";
import { navigate } from "../router.tsx";
import { Button, Card, Failure } from "../ui/basics.tsx";
import { Dialog } from "../ui/dialog.tsx";

export function YourData({ email }: { email: string }) {
  const { api } = useSkywork();
  const [asking, setAsking] = useState(false);
  const download = useMutation({
    mutationFn: () => api.user.export.query(),
    onSuccess: (everything) =>
      saveFile(
        "skywork-data.json",
        new Blob([JSON.stringify(everything, null, 2)], { type: "application/json" }),
      ),
  });
  return (
    <Card title="Your data">
      <p className="soft">Download everything we store about you, or delete your account.</p>
      <div className="actions">
        <Button busy={download.isPending} onClick={() => download.mutate()}>
          Download a copy
        </Button>
        <Button kind="danger" onClick={() => setAsking(true)}>
          Delete account
        </Button>
      </div>
      <Failure error={download.error} />
      {asking && <DeleteAccount email={email} onClose={() => setAsking(false)} />}
    </Card>
  );
}

function DeleteAccount({ email, onClose }: { email: string; onClose: () => void }) {
  const { api, session } = useSkywork();
  const [typed, setTyped] = useState("");
  const remove = useMutation({
    mutationFn: () => api.user.delete.mutate({ confirmEmail: typed.trim() }),
    onSuccess: () => {
      eraseWorkspace();
      navigate("/goodbye", { replace: true });
      session.leave();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    remove.mutate();
  };
  return (
    <Dialog
      title="Delete your account?"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Keep my account</Button>
          <Button type="submit" form="delete-account" kind="danger" busy={remove.isPending}>
            Delete permanently
          </Button>
        </>
      }
    >
      <form id="delete-account" onSubmit={submit}>
        <p>
          Your plan will be cancelled, your credits will be lost, and all your personal data will be
          erased, including the conversations and decks in this browser. This can't be undone.
        </p>
        <label className="field">
          <span>
            Type <b>{email}</b> to confirm
          </span>
          <input
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            required
            maxLength={320}
          />
        </label>
        <Failure error={remove.error} />
      </form>
    </Dialog>
  );
}
