// The dashboard: the balance, links to the features, the credit lots, usage, recent activity.
import { FEATURE_TABLE, type Feature } from "@skywork/shared";
import { useBalance, useHistory, useMe, useUsage } from "../data/queries.ts";
import { credits, date, day, number } from "../format.ts";
import { Link, usePageTitle } from "../router.tsx";
import { Card, Empty, Loaded } from "../ui/basics.tsx";
import { CHART_DAYS, UsageChart } from "../ui/chart.tsx";
import { FEATURE_NAMES, sourceName } from "../words.ts";
import { Icon, type IconName } from "../ui/icons.tsx";
import { Entries } from "./entries.tsx";

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
  const name = me.data?.user.name?.split(" ")[0];
  const shown = balance.data?.available;
  return (
    <section className="hero" aria-labelledby="hero-title">
      <h1 id="hero-title">{name === undefined ? "Hello" : `Hello, ${name}`}</h1>
      <p className="amount" data-testid="available">
        {shown === undefined ? "–" : number(shown)}
        <small>{shown === 1 ? "credit to spend" : "credits to spend"}</small>
      </p>
      <p className="hero-facts">
        {balance.data !== undefined && balance.data.held > 0 && (
          <span>
            {number(balance.data.credits)} in total, {number(balance.data.held)} held for work in
            progress
          </span>
        )}
        {balance.data !== undefined && balance.data.credits < 0 && (
          <span>
            You owe {credits(-balance.data.credits)}; the next credits you get pay for them first.
          </span>
        )}
        {usage.data?.runsOutOn && (
          <span>At your current pace they will last until {day(usage.data.runsOutOn)}</span>
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

/** The page of each feature. A feature without a page has no card. */
const FEATURE_PLACES: Partial<Record<Feature, { to: string; action: string; icon: IconName }>> = {
  "chat-flash": { to: "/chat", action: "Ask", icon: "chat-flash" },
  "chat-pro": { to: "/chat?model=chat-pro", action: "Ask in depth", icon: "chat-pro" },
  "ppt-generate": { to: "/slides", action: "Make slides", icon: "ppt-generate" },
  "ppt-edit": { to: "/slides", action: "Edit slides", icon: "ppt-edit" },
};

function Create() {
  return (
    <Card title="Create something" className="create">
      <div className="features">
        {FEATURE_NAMES.map((feature) => {
          const place = FEATURE_PLACES[feature];
          if (place === undefined) return null;
          const { label, description } = FEATURE_TABLE[feature];
          return (
            <article className={`feature ${feature}`} key={feature}>
              <span className="feature-icon">
                <Icon name={place.icon} size={22} />
              </span>
              <h3>{label}</h3>
              <p className="soft">{description}</p>
              <Link to={place.to} className="button">
                {place.action}
              </Link>
            </article>
          );
        })}
      </div>
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
      <Loaded query={usage}>{(data) => <UsageChart daily={data.daily} />}</Loaded>
    </Card>
  );
}

function Recent() {
  const history = useHistory({ limit: 10 });
  return (
    <Card title="Recent activity" className="recent" aside={<Link to="/activity">See all</Link>}>
      <Loaded query={history} lines={5}>
        {(data) => <Entries logs={data.logs} />}
      </Loaded>
    </Card>
  );
}
