// Every query, with its cache key and its call. Nothing is polled or refetched on focus, because a user's calls are
// rate limited: data is fetched once, and again only after a known change (data/changes.ts).
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { EntryType } from "@skywork/shared";
import { timeZone } from "../format.ts";
import { useSkywork } from "./skywork.tsx";

const DAY_MS = 86_400_000;

/** One key per query. The lists of what to refetch are built from these. */
export const keys = {
  config: ["config"],
  me: ["me"],
  sessions: ["sessions"],
  costs: ["costs"],
  models: ["models"],
  balance: ["balance"],
  history: ["history"],
  usage: ["usage"],
  packages: ["packages"],
  payments: ["payments"],
  plans: ["plans"],
  subscription: ["subscription"],
  invoices: ["invoices"],
} as const;

export function useConfig() {
  const { api } = useSkywork();
  return useQuery({ queryKey: keys.config, queryFn: () => api.auth.config.query() });
}

export function useMe() {
  const { api } = useSkywork();
  return useQuery({ queryKey: keys.me, queryFn: () => api.auth.me.query() });
}

export function useSessions() {
  const { api } = useSkywork();
  // This device is not notified of what other devices do.
  return useQuery({
    queryKey: keys.sessions,
    queryFn: () => api.auth.sessions.query(),
    staleTime: 0,
  });
}

export function useCosts() {
  const { api } = useSkywork();
  return useQuery({ queryKey: keys.costs, queryFn: () => api.credit.costs.query() });
}

/** The features that have a model on this server. */
export function useModels() {
  const { api } = useSkywork();
  return useQuery({ queryKey: keys.models, queryFn: () => api.ai.models.query() });
}

/** Kept current by the live stream (data/changes.ts). */
export function useBalance() {
  const { api } = useSkywork();
  return useQuery({ queryKey: keys.balance, queryFn: () => api.credit.balance.query() });
}

/** One page of the credit history; `cursor` is the previous page's `nextCursor`. */
export function useHistory(page: { limit: number; cursor?: string; type?: EntryType }) {
  const { api } = useSkywork();
  return useQuery({
    queryKey: [...keys.history, page],
    queryFn: () => api.credit.history.query(page),
    placeholderData: keepPreviousData,
  });
}

/** The usage of the last `days` days, in the user's time zone. */
export function useUsage(days: number) {
  const { api } = useSkywork();
  return useQuery({
    queryKey: [...keys.usage, days],
    queryFn: () =>
      api.credit.usage.query({
        from: new Date(Date.now() - (days - 1) * DAY_MS).toISOString(),
        timeZone: timeZone(),
      }),
  });
}

export function usePackages(options: { enabled?: boolean } = {}) {
  const { api } = useSkywork();
  return useQuery({
    queryKey: keys.packages,
    queryFn: () => api.payment.packages.query(),
    enabled: options.enabled ?? true,
  });
}

export function usePayments(page: { limit: number; offset: number }) {
  const { api } = useSkywork();
  return useQuery({
    queryKey: [...keys.payments, page],
    queryFn: () => api.payment.history.query(page),
    placeholderData: keepPreviousData,
  });
}

export function usePlans() {
  const { api } = useSkywork();
  return useQuery({ queryKey: keys.plans, queryFn: () => api.payment.plans.query() });
}

export function useSubscription() {
  const { api } = useSkywork();
  return useQuery({
    queryKey: keys.subscription,
    queryFn: () => api.payment.subscription.query(),
  });
}

export function useInvoices() {
  const { api } = useSkywork();
  return useQuery({ queryKey: keys.invoices, queryFn: () => api.payment.invoices.query() });
}
