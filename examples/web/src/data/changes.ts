// Keeps the screen up to date: the live balance, and what to refetch after which change.
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import type { AppRouter } from "@skywork/shared";
import type { TRPCClient } from "@trpc/client";
import { useEffect, useState, useSyncExternalStore } from "react";
import { keys } from "./queries.ts";
import { useSkywork } from "./skywork.tsx";

type Balance = Awaited<ReturnType<TRPCClient<AppRouter>["credit"]["balance"]["query"]>>;

/** How long to wait for further changes, so that one fetch covers them all. */
const GATHER_MS = 1500;

const gathering = new WeakMap<QueryClient, Map<string, number>>();

/** Refetches `key` soon; ten changes in a row cost one call. A query that is not on screen is only marked stale. */
function refreshSoon(queryClient: QueryClient, key: readonly string[]): void {
  const timers = gathering.get(queryClient) ?? new Map<string, number>();
  gathering.set(queryClient, timers);
  const name = key.join("/");
  window.clearTimeout(timers.get(name));
  timers.set(
    name,
    window.setTimeout(() => void queryClient.invalidateQueries({ queryKey: [...key] }), GATHER_MS),
  );
}

/** Shows new totals immediately. The message does not include the credit lots; they follow with the next fetch. */
export function showBalance(
  queryClient: QueryClient,
  totals: Pick<Balance, "credits" | "held" | "available">,
): void {
  queryClient.setQueryData<Balance>([...keys.balance], (old) => old && { ...old, ...totals });
}

/** Refetches what changes when this tab holds or spends credits. */
export function afterSpend(queryClient: QueryClient): void {
  for (const key of [keys.balance, keys.history, keys.usage]) refreshSoon(queryClient, key);
}

/** Refetches what may have changed when credits moved for an unknown reason: a purchase, a renewal, another tab. */
function afterMoveElsewhere(queryClient: QueryClient): void {
  for (const key of [keys.balance, keys.history, keys.usage]) refreshSoon(queryClient, key);
  for (const key of [keys.payments, keys.subscription, keys.invoices])
    refreshSoon(queryClient, key);
}

/** Refetches what may have changed with the plan. */
export function afterPlanChange(queryClient: QueryClient): void {
  for (const key of [keys.subscription, keys.invoices, keys.balance, keys.history]) {
    refreshSoon(queryClient, key);
  }
}

function onVisibilityChange(changed: () => void): () => void {
  document.addEventListener("visibilitychange", changed);
  return () => document.removeEventListener("visibilitychange", changed);
}

/** Whether this tab is visible. */
function useIsShown(): boolean {
  return useSyncExternalStore(onVisibilityChange, () => document.visibilityState === "visible");
}

/**
 * Listens to `credit.onChange` while the component is mounted and the tab is visible. Returns whether the stream is
 * open. Browsers allow only six HTTP/1.1 connections per host, so a hidden tab closes its stream. A new stream starts
 * with the current balance.
 */
export function useLiveBalance(): boolean {
  const { api } = useSkywork();
  const queryClient = useQueryClient();
  const [live, setLive] = useState(false);
  const isShown = useIsShown();

  useEffect(() => {
    if (!isShown) return;
    let lastSeq: number | null = null;
    const stream = api.credit.onChange.subscribe(undefined, {
      onStarted: () => setLive(true),
      onData: (change) => {
        const before = queryClient.getQueryData<Balance>([...keys.balance]);
        showBalance(queryClient, change);
        const moved =
          lastSeq === null
            ? before !== undefined && before.credits !== change.credits
            : lastSeq !== change.seq;
        lastSeq = change.seq;
        if (moved && before?.credits !== change.credits) afterMoveElsewhere(queryClient);
      },
      onConnectionStateChange: (state) => setLive(state.state === "pending"),
      onError: () => {
        setLive(false);
        // Closed for good, e.g. because this device was signed out from another one. The next read says why.
        void queryClient.invalidateQueries({ queryKey: [...keys.balance] });
      },
    });
    return () => {
      stream.unsubscribe();
      setLive(false);
    };
  }, [api, queryClient, isShown]);

  // Where no stream opens, the numbers are updated by the user's own actions, and refetched when the tab is shown again
  // and they are over a minute old.
  useEffect(() => {
    const age = Date.now() - (queryClient.getQueryState([...keys.balance])?.dataUpdatedAt ?? 0);
    if (isShown && !live && age > 60_000) refreshSoon(queryClient, keys.balance);
  }, [isShown, live, queryClient]);

  return live;
}
