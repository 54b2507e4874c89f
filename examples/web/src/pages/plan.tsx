// The subscription page: the current plan and its actions, the plans on offer, the invoices.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { afterPlanChange } from "../data/changes.ts";
import { usePortal, useSubscribe } from "../data/checkout.ts";
import { keys, useInvoices, usePlans, useSubscription } from "../data/queries.ts";
import { useSkywork } from "../data/skywork.tsx";
import { credits, date, money } from "../format.ts";
import { usePageTitle } from "../router.tsx";
import { Badge, Button, Card, Empty, Failure, Loaded, Notice } from "../ui/basics.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { subscriptionWords } from "../words.ts";
import { ChangePlan } from "./change-plan.tsx";
import { type CurrentPlan, isLive, type Plan } from "./plan-types.ts";

export function PlanPage() {
  usePageTitle("Plan");
  const subscription = useSubscription();
  return (
    <div className="page">
      <header className="page-head">
        <h1>Plan</h1>
        <p className="soft">
          New credits every month, at a lower price. A plan never affects credits you bought.
        </p>
      </header>
      <Loaded query={subscription}>
        {({ subscription: current }) => (
          <>
            {current !== null && <Current current={current} />}
            <Plans current={current !== null && isLive(current) ? current : null} />
          </>
        )}
      </Loaded>
      <Invoices />
    </div>
  );
}

function Current({ current }: { current: CurrentPlan }) {
  const { api } = useSkywork();
  const queryClient = useQueryClient();
  const portal = usePortal();
  const [asking, setAsking] = useState(false);
  const show = (answer: { subscription: CurrentPlan }) => {
    queryClient.setQueryData([...keys.subscription], answer);
    afterPlanChange(queryClient);
  };
  const cancel = useMutation({
    mutationFn: () => api.payment.cancelSubscription.mutate(),
    onSuccess: show,
    onSettled: () => setAsking(false),
  });
  const resume = useMutation({
    mutationFn: () => api.payment.resumeSubscription.mutate(),
    onSuccess: show,
  });
  const keep = useMutation({
    mutationFn: () => api.payment.cancelPlanChange.mutate(),
    onSuccess: show,
  });
  const words = subscriptionWords(current.status);
  const live = isLive(current);
  return (
    <Card
      title={`Your plan: ${tierName(current.tier)}`}
      aside={
        <Badge tone={current.cancelAtPeriodEnd && live ? "warn" : words.tone}>
          {current.cancelAtPeriodEnd && live ? "Ends soon" : words.text}
        </Badge>
      }
    >
      <dl className="facts" data-testid="current-plan">
        <div>
          <dt>Credits</dt>
          <dd>{credits(current.credits)} a month</dd>
        </div>
        <div>
          <dt>Price</dt>
          <dd>
            {money(current.price, current.currency)} a {current.interval}
          </dd>
        </div>
        <div>
          <dt>{!live ? "Ended" : current.cancelAt !== null ? "Ends on" : "Renews on"}</dt>
          <dd>{date(current.cancelAt ?? current.currentPeriodEnd)}</dd>
        </div>
      </dl>
      {current.status === "past_due" && (
        <Notice tone="bad" title="The last payment did not go through">
          Check your card in the customer portal. The month's credits arrive as soon as it is paid.
        </Notice>
      )}
      {current.pendingPlan !== null && (
        <Notice
          tone="warn"
          title={`${current.pendingPlan.name} from ${date(current.pendingPlan.effectiveAt)}`}
          actions={
            <Button busy={keep.isPending} onClick={() => keep.mutate()}>
              Stay on {tierName(current.tier)}
            </Button>
          }
        >
          Until then you keep {tierName(current.tier)}, which is paid for.
        </Notice>
      )}
      {live && (
        <div className="actions">
          {current.cancelAtPeriodEnd ? (
            <Button kind="main" busy={resume.isPending} onClick={() => resume.mutate()}>
              Keep my plan
            </Button>
          ) : (
            <Button onClick={() => setAsking(true)}>Cancel plan</Button>
          )}
          <Button busy={portal.isPending} onClick={() => portal.mutate()}>
            Card and billing
          </Button>
        </div>
      )}
      <Failure error={cancel.error ?? resume.error ?? keep.error ?? portal.error} />
      {asking && (
        <Dialog
          title="Cancel your plan?"
          onClose={() => setAsking(false)}
          actions={
            <>
              <Button onClick={() => setAsking(false)}>Keep plan</Button>
              <Button kind="danger" busy={cancel.isPending} onClick={() => cancel.mutate()}>
                Cancel plan
              </Button>
            </>
          }
        >
          <p>
            You keep {tierName(current.tier)} and its credits until {date(current.currentPeriodEnd)}
            . After that you won't be charged, and you keep the credits you bought. You can change
            your mind until then.
          </p>
        </Dialog>
      )}
    </Card>
  );
}

/** `BASIC` → `Basic`. */
function tierName(tier: string): string {
  return tier.slice(0, 1) + tier.slice(1).toLowerCase();
}

function Plans({ current }: { current: CurrentPlan | null }) {
  const plans = usePlans();
  const subscribe = useSubscribe();
  const [interval, setInterval] = useState<Plan["interval"]>(current?.interval ?? "month");
  const [changingTo, setChangingTo] = useState<Plan | null>(null);
  return (
    <Card
      title={current === null ? "Choose a plan" : "Change your plan"}
      aside={
        <IntervalSwitch
          value={interval}
          saving={bestSaving(plans.data?.plans ?? [])}
          onChange={setInterval}
        />
      }
    >
      <Loaded query={plans}>
        {(data) => (
          <div className="offers">
            {data.plans
              .filter((plan) => plan.interval === interval)
              .map((plan) => (
                <article
                  className={plan.id === current?.planId ? "offer mine" : "offer"}
                  key={plan.id}
                >
                  <h3>{plan.name}</h3>
                  <p className="offer-amount">
                    {money(plan.price, plan.currency)} <small>a {plan.interval}</small>
                  </p>
                  <div className="soft">
                    <p>{credits(plan.credits)} every month</p>
                    <YearComparison plan={plan} plans={data.plans} />
                  </div>
                  {plan.id === current?.planId ? (
                    <p className="mine-mark">Your plan</p>
                  ) : plan.id === current?.pendingPlan?.planId ? (
                    <p className="mine-mark">Starts on {date(current.pendingPlan.effectiveAt)}</p>
                  ) : (
                    <Button
                      kind="main"
                      busy={subscribe.isPending && subscribe.variables === plan.id}
                      disabled={subscribe.isPending && subscribe.variables !== plan.id}
                      onClick={() =>
                        current === null ? subscribe.mutate(plan.id) : setChangingTo(plan)
                      }
                    >
                      {current === null ? "Choose" : "Change to"} {plan.name}
                      <span className="visually-hidden">
                        , {money(plan.price, plan.currency)} a {plan.interval}
                      </span>
                    </Button>
                  )}
                </article>
              ))}
          </div>
        )}
      </Loaded>
      <Failure error={subscribe.error} title="The payment page could not be opened" />
      {changingTo !== null && <ChangePlan plan={changingTo} onClose={() => setChangingTo(null)} />}
    </Card>
  );
}

/** The same plan with the other interval, if it is offered. */
function counterpart(plan: Plan, plans: readonly Plan[]): Plan | undefined {
  return plans.find(
    (one) =>
      one.tier === plan.tier && one.currency === plan.currency && one.interval !== plan.interval,
  );
}

/** What the yearly plan saves over twelve months, in minor units; null if it is not offered or not cheaper. */
function yearSaving(plan: Plan, plans: readonly Plan[]): number | null {
  const other = counterpart(plan, plans);
  if (other === undefined) return null;
  const [month, year] = plan.interval === "month" ? [plan, other] : [other, plan];
  const saving = month.price * 12 - year.price;
  return saving > 0 ? saving : null;
}

/** The highest saving of any yearly plan, in whole percent (`17`); null when none is cheaper. */
function bestSaving(plans: readonly Plan[]): number | null {
  const percents = plans
    .filter(({ interval, price }) => interval === "month" && price > 0)
    .map((plan) => ((yearSaving(plan, plans) ?? 0) / (plan.price * 12)) * 100);
  const best = Math.floor(Math.max(0, ...percents));
  return best > 0 ? best : null;
}

/** Compares the monthly and the yearly plan: what the yearly one saves, and its price per month. */
function YearComparison({ plan, plans }: { plan: Plan; plans: readonly Plan[] }) {
  const saving = yearSaving(plan, plans);
  const other = counterpart(plan, plans);
  if (saving === null || other === undefined) return null;
  if (plan.interval === "month")
    return (
      <p>
        Yearly: {money(other.price, other.currency)}, saving {money(saving, plan.currency)}
      </p>
    );
  return (
    <p>
      {money(Math.round(plan.price / 12), plan.currency)} a month.{" "}
      <b className="plus">{money(saving, plan.currency)} less</b> than twelve months at{" "}
      {money(other.price, other.currency)}
    </p>
  );
}

function IntervalSwitch(props: {
  value: Plan["interval"];
  saving: number | null;
  onChange: (interval: Plan["interval"]) => void;
}) {
  return (
    <fieldset className="switch">
      <legend className="visually-hidden">Billing</legend>
      {(["month", "year"] as const).map((interval) => (
        <label key={interval}>
          <input
            type="radio"
            name="interval"
            checked={props.value === interval}
            onChange={() => props.onChange(interval)}
          />
          <span>
            {interval === "month"
              ? "Monthly"
              : `Yearly${props.saving === null ? "" : `, save up to ${props.saving}%`}`}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

const INVOICE_TONES: Record<string, "good" | "warn" | "soft"> = { paid: "good", open: "warn" };

/** The invoices, fetched on request because few visits to this page are about them. */
function Invoices() {
  const [isShown, setIsShown] = useState(false);
  return (
    <Card title="Invoices">
      {isShown ? <InvoiceList /> : <Button onClick={() => setIsShown(true)}>Show invoices</Button>}
    </Card>
  );
}

function InvoiceList() {
  const invoices = useInvoices();
  const isThere = invoices.data !== undefined;
  const list = useRef<HTMLDivElement>(null);
  // The button that had the focus is gone, so move the focus to the list.
  useEffect(() => {
    if (isThere) list.current?.focus();
  }, [isThere]);
  return (
    <div ref={list} tabIndex={-1}>
      <Loaded query={invoices}>
        {(data) =>
          data.invoices.length === 0 ? (
            <Empty>No invoices yet.</Empty>
          ) : (
            <ul className="list" data-testid="invoices">
              {data.invoices.map((invoice) => (
                <li key={invoice.id}>
                  <span>
                    <b>{money(invoice.amountDue, invoice.currency)}</b>
                    <span className="soft">
                      {date(invoice.createdAt)}
                      {invoice.number !== null && ` · ${invoice.number}`}
                    </span>
                  </span>
                  <span className="figure">
                    <Badge tone={INVOICE_TONES[invoice.status] ?? "soft"}>{invoice.status}</Badge>
                    {invoice.hostedInvoiceUrl !== null && (
                      <a href={invoice.hostedInvoiceUrl} target="_blank" rel="noreferrer">
                        View
                        <span className="visually-hidden">
                          {" "}
                          the invoice of {date(invoice.createdAt)}
                        </span>
                      </a>
                    )}
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </div>
  );
}
