// Owns spending on screen: a button per feature and one honest line about what became of the last click.
import type { Feature } from "@skywork/shared";
import { useEffect, useRef } from "react";
import { useBuy } from "../data/checkout.ts";
import { usePackages } from "../data/queries.ts";
import { newSpendClick, type SpendClick, useSpend } from "../data/spend.ts";
import { credits, money, number } from "../format.ts";
import { Link } from "../router.tsx";
import { Button, Failure, Notice } from "../ui/basics.tsx";
import { Icon } from "../ui/icons.tsx";
import { appError, errorText, FEATURE_WORDS, isUncertain } from "../words.ts";

/** What became of a click: charged, or an error and a way to ask again with the same key. */
export type SpendOutcome =
  | { state: "charged"; click: SpendClick; charged: number; balance: number }
  | { state: "failed"; click: SpendClick; error: unknown };

function useSpendClick(onOutcome: (outcome: SpendOutcome) => void) {
  const spend = useSpend();
  return {
    busy: spend.isPending,
    send: (click: SpendClick) =>
      spend.mutate(click, {
        onSuccess: ({ charged, balance }) =>
          onOutcome({ state: "charged", click, charged, balance }),
        onError: (error) => onOutcome({ state: "failed", click, error }),
      }),
  };
}

export function FeatureCard(props: {
  feature: Feature;
  cost: number;
  onOutcome: (outcome: SpendOutcome) => void;
}) {
  const { feature, cost } = props;
  const words = FEATURE_WORDS[feature];
  const { send, busy } = useSpendClick(props.onOutcome);
  return (
    <article className={`feature ${feature}`}>
      <span className="feature-icon">
        <Icon name={feature} size={22} />
      </span>
      <h3>{words.name}</h3>
      <p className="soft">{words.text}</p>
      <Button
        busy={busy}
        data-testid={`spend-${feature}`}
        aria-label={`${words.action} with ${words.name} for ${credits(cost)}`}
        onClick={() => send(newSpendClick(feature, cost))}
      >
        {words.action} <span className="price">{credits(cost)}</span>
      </Button>
    </article>
  );
}

/** Says what the last click came to. */
export function SpendReport(props: {
  outcome: SpendOutcome | null;
  onOutcome: (outcome: SpendOutcome | null) => void;
}) {
  const { outcome } = props;
  const { send, busy } = useSpendClick(props.onOutcome);
  const report = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // On a phone the answer may be below the button that was pressed.
    if (outcome !== null) report.current?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }, [outcome]);
  return (
    <div ref={report} className="report" aria-live="polite" data-testid="spend-report">
      {outcome?.state === "charged" && (
        <Notice tone="good">
          <b>{FEATURE_WORDS[outcome.click.feature].name}</b>: {credits(outcome.charged)} charged,{" "}
          {number(outcome.balance)} left.
        </Notice>
      )}
      {outcome?.state === "failed" && isUncertain(outcome.error) && (
        <Notice
          tone="warn"
          title="We are not sure this went through"
          actions={
            <Button kind="main" busy={busy} onClick={() => send(outcome.click)}>
              Ask again
            </Button>
          }
        >
          {errorText(outcome.error)} Asking again is safe: this click is charged once at most.
        </Notice>
      )}
      {outcome?.state === "failed" && !isUncertain(outcome.error) && <Refusal {...outcome} />}
    </div>
  );
}

function Refusal({ error, click }: { error: unknown; click: SpendClick }) {
  const app = appError(error);
  if (app?.code !== "INSUFFICIENT_CREDITS") return <Notice tone="bad">{errorText(error)}</Notice>;
  return (
    <Short
      name={FEATURE_WORDS[click.feature].name}
      required={app.required}
      available={app.available}
      shortfall={app.shortfall}
      suggestedPackageId={app.suggestedPackageId}
    />
  );
}

/** Not enough credits: how many are missing, and the package that mends it, one press away. */
function Short(props: {
  name: string;
  required: number;
  available: number;
  shortfall: number;
  suggestedPackageId: string | null;
}) {
  const packages = usePackages({ enabled: props.suggestedPackageId !== null });
  const buy = useBuy();
  const suggested = packages.data?.packages.find((offer) => offer.id === props.suggestedPackageId);
  return (
    <>
      <Notice
        tone="warn"
        title={`${credits(props.shortfall)} short`}
        actions={
          <>
            {suggested && (
              <Button kind="main" busy={buy.isPending} onClick={() => buy.mutate(suggested.id)}>
                Buy {credits(suggested.credits)} for {money(suggested.price, suggested.currency)}
              </Button>
            )}
            <Link to="/credits" className="button">
              All packages
            </Link>
          </>
        }
      >
        {props.name} costs {credits(props.required)} and you have {number(props.available)} to
        spend. Nothing was charged.
      </Notice>
      <Failure error={buy.error} />
    </>
  );
}
