// Owns the dashboard: the balance, the four features, the lots, and what happened lately.
import { useState } from "react";
import { useBalance, useCosts, useHistory, useMe, useUsage } from "../data/queries.ts";
import { usePendingCredits } from "../data/spend.ts";
import { credits, date, day, number } from "../format.ts";
import { Link, usePageTitle } from "../router.tsx";
import { Card, Empty, Loaded } from "../ui/basics.tsx";
import { everyDay, localToday, UsageChart } from "../ui/chart.tsx";
import { FEATURE_NAMES, sourceName } from "../words.ts";
import { Entries } from "./entries.tsx";
import { FeatureCard, SpendReport, type SpendOutcome } from "./spend-panel.tsx";

const CHART_DAYS = 30;

export function Home() {
  usePageTitle("Home");
  return (
    <div className="page home">
      <Hero />
      <Create />
      <Lots />
      <Usage />
      <Recent />
    </div>
  );
}

function Hero() {
  const me = useMe();
  const balance = useBalance();
  const usage = useUsage(CHART_DAYS);
  const pending = usePendingCredits();
  const name = me.data?.user.name?.split(" ")[0];
  const shown = balance.data && balance.data.available - pending;
  return (
    <section className="hero" aria-labelledby="hero-title">
      <h1 id="hero-title">{name === undefined ? "Hello" : `Hello, ${name}`}</h1>
      <p className={pending > 0 ? "amount moving" : "amount"} data-testid="available">
        {shown === undefined ? "–" : number(shown)}
        <small>{shown === 1 ? "credit to spend" : "credits to spend"}</small>
      </p>
      <p className="hero-facts">
        {pending > 0 && <span>{credits(pending)} on the way out…</span>}
        {balance.data !== undefined && balance.data.held > 0 && (
          <span>
            {number(balance.data.credits)} in all, {number(balance.data.held)} held for work in
            progress
          </span>
        )}
        {balance.data !== undefined && balance.data.credits < 0 && (
          <span>
            You owe {credits(-balance.data.credits)}; the next credits you get pay for them first.
          </span>
        )}
        {usage.data?.runsOutOn && (
          <span>At your pace they last until {day(usage.data.runsOutOn)}</span>
        )}
      </p>
      <div className="actions">
        <Link to="/credits" className="button light">
          Buy credits
        </Link>
        <Link to="/plan" className="button ghost">
          See plans
        </Link>
      </div>
    </section>
  );
}

function Create() {
  const costs = useCosts();
  const [outcome, setOutcome] = useState<SpendOutcome | null>(null);
  return (
    <Card title="Create something" className="create">
      <Loaded query={costs} lines={4}>
        {(data) => (
          <div className="features">
            {FEATURE_NAMES.map((feature) => {
              const cost = data.features.find((entry) => entry.feature === feature)?.credits;
              return (
                cost !== undefined && (
                  <FeatureCard key={feature} feature={feature} cost={cost} onOutcome={setOutcome} />
                )
              );
            })}
          </div>
        )}
      </Loaded>
      <SpendReport outcome={outcome} onOutcome={setOutcome} />
    </Card>
  );
}

function Lots() {
  const balance = useBalance();
  return (
    <Card title="Where your credits come from" className="lots">
      <Loaded query={balance}>
        {({ grants }) =>
          grants.length === 0 ? (
            <Empty>No credits left. Buy some, or choose a plan.</Empty>
          ) : (
            <ul className="list">
              {grants.map((grant) => (
                <li key={grant.id}>
                  <span>
                    <b>{sourceName(grant.source)}</b>
                    <span className="soft">
                      {grant.expiresAt === null
                        ? "Never expires"
                        : `Until ${date(grant.expiresAt)}`}
                    </span>
                  </span>
                  <span className="figure">{number(grant.remaining)}</span>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Card>
  );
}

function Usage() {
  const usage = useUsage(CHART_DAYS);
  return (
    <Card
      title="The last 30 days"
      className="usage"
      aside={usage.data && <span className="soft">{credits(usage.data.totalCredits)} used</span>}
    >
      <Loaded query={usage}>
        {(data) => <UsageChart days={everyDay(data.daily, CHART_DAYS, localToday())} />}
      </Loaded>
    </Card>
  );
}

function Recent() {
  const history = useHistory({ limit: 10 });
  return (
    <Card title="Lately" className="recent" aside={<Link to="/activity">See all</Link>}>
      <Loaded query={history} lines={5}>
        {(data) => <Entries logs={data.logs} />}
      </Loaded>
    </Card>
  );
}
