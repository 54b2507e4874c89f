// Owns spending: one idempotency key per click, kept through every retry, so that a click is charged once at most.
import { useMutation, useMutationState, useQueryClient } from "@tanstack/react-query";
import type { Feature } from "@skywork/shared";
import { newKey } from "../format.ts";
import { isUncertain } from "../words.ts";
import { afterSpend } from "./changes.ts";
import { keys, type useBalance } from "./queries.ts";
import { useSkywork } from "./skywork.tsx";

/** One click. The key is made here, when the person decides, and not when the request is sent. */
export interface SpendClick {
  readonly feature: Feature;
  readonly cost: number;
  readonly idempotencyKey: string;
}

export function newSpendClick(feature: Feature, cost: number): SpendClick {
  return { feature, cost, idempotencyKey: newKey() };
}

/** Spends for one click. A lost answer is asked for again with the same key: the server then replays it. */
export function useSpend() {
  const { api } = useSkywork();
  const queryClient = useQueryClient();
  return useMutation({
    mutationKey: ["spend"],
    mutationFn: ({ feature, idempotencyKey }: SpendClick) =>
      api.credit.spend.mutate({ feature, idempotencyKey }),
    retry: (attempts, error) => attempts < 2 && isUncertain(error),
    retryDelay: (attempt) => 500 * 2 ** attempt,
    onSuccess: (answer) => {
      queryClient.setQueryData<ReturnType<typeof useBalance>["data"]>([...keys.balance], (old) => {
        if (old === undefined || answer.replayed) return old;
        // Answers of parallel clicks may arrive in any order; the lowest balance is the newest of them.
        const credits = Math.min(old.credits, answer.balance);
        return { ...old, credits, available: credits - old.held };
      });
      afterSpend(queryClient);
    },
  });
}

/** Credits of clicks whose answer is not there yet: shown as leaving, never as gone. */
export function usePendingCredits(): number {
  const costs = useMutationState<number>({
    filters: { mutationKey: ["spend"], status: "pending" },
    select: (mutation) => (mutation.state.variables as SpendClick | undefined)?.cost ?? 0,
  });
  return costs.reduce((sum, cost) => sum + cost, 0);
}
