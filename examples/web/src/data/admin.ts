// The admin area's queries, and what to refetch after a write.
import type { AppRouter, EventState } from "@skywork/shared";
import { keepPreviousData, type QueryClient, useQuery } from "@tanstack/react-query";
import type { inferRouterOutputs } from "@trpc/server";
import { useSkywork } from "./skywork.tsx";

type Outputs = inferRouterOutputs<AppRouter>["admin"];
export type UserLine = Outputs["users"]["users"][number];
export type UserPage = Outputs["user"];
export type Stats = Outputs["stats"];

const DAY_MS = 86_400_000;
const PAGE = 20;

export function useUsers(search: string, cursor: string | undefined) {
  const { api } = useSkywork();
  return useQuery({
    queryKey: ["admin", "users", search, cursor],
    queryFn: () =>
      api.admin.users.query({ limit: PAGE, cursor, ...(search === "" ? {} : { search }) }),
    placeholderData: keepPreviousData,
    staleTime: 0,
  });
}

/** One user. `historyCursor` chooses the page of their credit history; without it, the newest. */
export function useUser(userId: string, historyCursor: string | undefined) {
  const { api } = useSkywork();
  return useQuery({
    queryKey: ["admin", "user", userId, historyCursor],
    queryFn: () => api.admin.user.query({ userId, historyCursor }),
    placeholderData: keepPreviousData,
    staleTime: 0,
  });
}

export function useEvents(status: EventState | undefined, cursor: string | undefined) {
  const { api } = useSkywork();
  return useQuery({
    queryKey: ["admin", "events", status, cursor],
    queryFn: () => api.admin.events.query({ limit: PAGE, cursor, status }),
    placeholderData: keepPreviousData,
    staleTime: 0,
  });
}

/** The statistics of the last `days` days, and of the same number of days before them. */
export function useStats(days: number) {
  const { api } = useSkywork();
  return useQuery({
    queryKey: ["admin", "stats", days],
    queryFn: async () => {
      const now = Date.now();
      const from = new Date(now - days * DAY_MS).toISOString();
      const before = new Date(now - 2 * days * DAY_MS).toISOString();
      const [current, previous] = await Promise.all([
        api.admin.stats.query({ from }),
        api.admin.stats.query({ from: before, to: from }),
      ]);
      return { current, previous };
    },
    placeholderData: keepPreviousData,
    staleTime: 0,
  });
}

/** The last audit of the ledger, as reported by /ready. */
export interface Books {
  readonly at: string;
  readonly ok: boolean;
}

/** The last audit; null when there has been none yet. /ready is not subject to the API's rate limits. */
export function useLastAudit() {
  const { apiUrl } = useSkywork();
  return useQuery({
    queryKey: ["admin", "books"],
    queryFn: async (): Promise<Books | null> => {
      // The status is 503 while something is down, but the body has the same shape.
      const answer = await fetch(`${apiUrl}/ready`);
      return ((await answer.json()) as { doctor: Books | null }).doctor;
    },
    staleTime: 0,
  });
}

/** Refetches everything in the admin area, because an administrator's write may have changed any of it. */
export function afterAdminWrite(queryClient: QueryClient): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: ["admin"] });
}
