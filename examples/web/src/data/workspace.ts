// What the signed-in person has in this browser: conversations, decks, and the runs that write them. It outlives pages.
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { afterSpend } from "./changes.ts";
import { type Chat, openChats, resumeChats } from "./chats.ts";
import { openDecks, resumeDecks, type StoredDeck } from "./decks.ts";
import type { LocalStore } from "./local-store.ts";
import { useMe } from "./queries.ts";
import { type Connection, createRunner, type Runner } from "./runs.ts";
import { type Skywork, useSkywork } from "./skywork.tsx";

export interface Workspace {
  readonly chats: LocalStore<Chat>;
  readonly decks: LocalStore<StoredDeck>;
  readonly runner: Runner;
}

let opened: { userId: string; workspace: Workspace } | null = null;

/** Goes on with every run under way, or waits in line behind the tab that follows it. */
function resume(): void {
  if (opened === null) return;
  resumeChats(opened.workspace);
  resumeDecks(opened.workspace);
}

function open(skywork: Skywork, userId: string): Workspace {
  if (opened?.userId === userId) return opened.workspace;
  closeWorkspace();
  const runner = createRunner({
    api: skywork.api,
    onError: skywork.onRefusal,
    onCreditsMoved: () => afterSpend(skywork.queryClient),
  });
  const workspace = { chats: openChats(userId), decks: openDecks(userId), runner };
  opened = { userId, workspace };
  resume();
  // Runs that another tab begins: this one follows them when that tab is closed. Without locks both would at once.
  if ("locks" in navigator) window.addEventListener("storage", resume);
  return workspace;
}

/** Lets go of the person's runs; what is kept stays kept. */
export function closeWorkspace(): void {
  window.removeEventListener("storage", resume);
  opened?.workspace.runner.close();
  opened?.workspace.chats.close();
  opened?.workspace.decks.close();
  opened = null;
}

/** Removes every conversation and deck of the person from this browser. */
export function eraseWorkspace(): void {
  opened?.workspace.chats.clear();
  opened?.workspace.decks.clear();
  closeWorkspace();
}

/** The workspace of the signed-in person; null until it is known who that is. */
export function useWorkspace(): Workspace | null {
  const skywork = useSkywork();
  const userId = useMe().data?.user.id;
  return useMemo(() => (userId === undefined ? null : open(skywork, userId)), [skywork, userId]);
}

/** Opens the workspace on every page, so that runs go on wherever one is, and closes it at sign-out. */
export function useRunsInBackground(): void {
  const { session } = useSkywork();
  useWorkspace();
  useEffect(
    () =>
      session.subscribe(() => {
        if (session.status() === "signedOut") closeWorkspace();
      }),
    [session],
  );
}

/** Follows a list kept in this browser. */
export function useStored<Item extends { id: string; updatedAt: number }>(
  store: LocalStore<Item>,
): readonly Item[] {
  return useSyncExternalStore(store.subscribe, store.all);
}

/** Follows how the stream of a run is doing. */
export function useConnection(runner: Runner, key: string): Connection {
  return useSyncExternalStore(runner.subscribe, () => runner.connection(key));
}
