// Changing the plan. The cost is shown before the user confirms, and the preview is binding.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { afterPlanChange } from "../data/changes.ts";
import { keys } from "../data/queries.ts";
import { useSkywork } from "../data/skywork.tsx";
import { credits, date, money } from "../format.ts";
import { Button, Failure, Loaded } from "../ui/basics.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { hasCode } from "../words.ts";
import type { Plan } from "./plan-types.ts";

export function ChangePlan({ plan, onClose }: { plan: Plan; onClose: () => void }) {
  const { api } = useSkywork();
  const queryClient = useQueryClient();
  const preview = useQuery({
    queryKey: ["plan-preview", plan.id],
    queryFn: () => api.payment.previewPlanChange.query({ planId: plan.id }),
    // A preview is valid only for the moment it was made, so it is never shown from the cache.
    gcTime: 0,
  });
  const change = useMutation({
    mutationFn: (previewToken: string) =>
      api.payment.changePlan.mutate({ planId: plan.id, previewToken }),
    onSuccess: (answer) => {
      queryClient.setQueryData([...keys.subscription], answer);
      afterPlanChange(queryClient);
      onClose();
    },
    onError: (error) => {
      if (hasCode(error, "PREVIEW_STALE")) void preview.refetch();
    },
  });
  const token = preview.data?.previewToken;
  return (
    <Dialog
      title={`Change to ${plan.name}`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="main"
            busy={change.isPending || preview.isFetching}
            disabled={token === undefined}
            onClick={() => token !== undefined && change.mutate(token)}
          >
            Change plan
          </Button>
        </>
      }
    >
      <Loaded query={preview}>
        {(data) => (
          <dl className="facts" data-testid="plan-preview">
            <div>
              <dt>Due today</dt>
              <dd>{money(data.amountDue, data.currency)}</dd>
            </div>
            <div>
              <dt>Credits added today</dt>
              <dd>{credits(data.creditsNow)}</dd>
            </div>
            <div>
              <dt>Starts on</dt>
              <dd>{date(data.effectiveAt)}</dd>
            </div>
            <div>
              <dt>Then renews at</dt>
              <dd>
                {money(plan.price, plan.currency)} a {plan.interval}, {credits(plan.credits)} a
                month
              </dd>
            </div>
          </dl>
        )}
      </Loaded>
      <Failure error={change.error} />
    </Dialog>
  );
}
