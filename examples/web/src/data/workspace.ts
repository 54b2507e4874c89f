// What the signed-in user has in this browser: conversations, decks, and the runs that write them. It outlives pages.
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

/** Resumes every run in progress, or waits in line behind the tab that follows it. */
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
  // When a tab that started a run is closed, this one takes over. Without locks, both would follow it simultaneously.
  if ("locks" in navigator) window.addEventListener("storage", resume);
  return workspace;
}

/** Stops following the user's runs. Everything stored stays. */
export function closeWorkspace(): void {
  window.removeEventListener("storage", resume);
  opened?.workspace.runner.close();
  opened?.workspace.chats.close();
  opened?.workspace.decks.close();
  opened = null;
}

/** Removes all of the user's conversations and decks from this browser. */
export function eraseWorkspace(): void {
  opened?.workspace.chats.clear();
  opened?.workspace.decks.clear();
  closeWorkspace();
}

/** The workspace of the signed-in user; null until their id is known. */
export function useWorkspace(): Workspace | null {
  const skywork = useSkywork();
  const userId = useMe().data?.user.id;
  return useMemo(() => (userId === undefined ? null : open(skywork, userId)), [skywork, userId]);
}

/** Opens the workspace on every page, so that runs continue wherever the user is, and closes it at sign-out. */
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

/** Subscribes to a list stored in this browser. */
export function useStored<Item extends { id: string; updatedAt: number }>(
  store: LocalStore<Item>,
): readonly Item[] {
  return useSyncExternalStore(store.subscribe, store.all);
}

/** Subscribes to the state of a run's stream. */
export function useConnection(runner: Runner, key: string): Connection {
  return useSyncExternalStore(runner.subscribe, () => runner.connection(key));
}
