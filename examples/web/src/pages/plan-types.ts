// The types of plans, as the server returns them.
import type { AppRouter } from "@skywork/shared";
import type { inferRouterOutputs } from "@trpc/server";

type Outputs = inferRouterOutputs<AppRouter>["payment"];

export type Plan = Outputs["plans"]["plans"][number];
export type CurrentPlan = NonNullable<Outputs["subscription"]["subscription"]>;

/** Whether the plan can still be changed, cancelled or resumed. */
export function isLive(plan: CurrentPlan): boolean {
  return !["canceled", "incomplete_expired"].includes(plan.status);
}
