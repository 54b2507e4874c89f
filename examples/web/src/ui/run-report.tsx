// The messages about a run: what it cost, why it ended early, and what the user can do about it.
import { type AppErrorData, FEATURE_TABLE, type Feature } from "@skywork/shared";
import { useBuy } from "../data/checkout.ts";
import { usePackages } from "../data/queries.ts";
import type { Connection, RunState } from "../data/runs.ts";
import { credits, money, number } from "../format.ts";
import { Link } from "../router.tsx";
import { refusalText } from "../words.ts";
import { Button, Failure, Notice } from "./basics.tsx";

interface RunReportProps {
  readonly run: RunState;
  readonly feature: Feature;
  readonly connection: Connection;
  /** Retries the same request with its idempotency key. */
  readonly onAskSame: () => void;
}

/** The message about a run, if there is one to show beside its output. */
export function RunReport({ run, feature, connection, onAskSame }: RunReportProps) {
  if (run.phase === "unsure") return <Unsure run={run} onAskSame={onAskSame} />;
  if (run.phase === "refused") return <Refused refusal={run.refusal} feature={feature} />;
  if (run.phase === "running" && connection === "lost")
    return (
      <Notice tone="warn" title="The connection was lost">
        It will continue automatically once the connection is back.
      </Notice>
    );
  if (run.phase !== "ended") return null;
  if (run.isOutputExpired)
    return (
      <Notice tone="soft" title="This finished while you were away">
        Its output is only kept for two minutes. {chargedText(run)}
      </Notice>
    );
  if (run.outcome !== "failed") return null;
  return (
    <Notice tone="bad" title="Something went wrong">
      {run.code === "AI_PROVIDER_ERROR"
        ? refusalText({ code: run.code })
        : "The work could not be finished."}{" "}
      {chargedText(run)}
    </Notice>
  );
}

/** The charge of a run: `1 credit charged · 99 left`; empty while it runs. */
export function chargeLine({ phase, charged, balance, outcome }: RunState): string {
  if (phase !== "ended" || charged === null) return "";
  const parts = [charged === 0 ? "Nothing charged" : `${credits(charged)} charged`];
  if (outcome === "stopped") parts.unshift("Stopped");
  if (balance !== null) parts.push(`${number(balance)} left`);
  return parts.join(" · ");
}

function chargedText({ charged }: RunState): string {
  if (charged === null) return "";
  return charged === 0
    ? "Nothing was charged."
    : `${credits(charged)} ${charged === 1 ? "was" : "were"} charged for what you received.`;
}

function Unsure({ run, onAskSame }: { run: RunState; onAskSame: () => void }) {
  return (
    <Notice
      tone="warn"
      title="We are not sure this went through"
      actions={
        <Button kind="main" onClick={onAskSame}>
          Ask again
        </Button>
      }
    >
      {(run.refusal === null ? null : refusalText(run.refusal)) ??
        "There was no response. Check your connection."}{" "}
      Asking again is safe: you are charged at most once.
    </Notice>
  );
}

function Refused({ refusal, feature }: { refusal: AppErrorData | null; feature: Feature }) {
  if (refusal?.code === "INSUFFICIENT_CREDITS")
    return <Short name={FEATURE_TABLE[feature].label} {...refusal} />;
  const text = (refusal === null ? null : refusalText(refusal)) ?? "This could not be started.";
  return (
    <Notice tone={refusal?.code === "RATE_LIMITED" ? "warn" : "bad"}>
      {text} {!text.includes("charged") && "Nothing was charged."}
    </Notice>
  );
}

/** Not enough credits: shows how many are missing, with a button to buy the suggested package. */
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
