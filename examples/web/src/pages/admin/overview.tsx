// The admin area's figures: this period compared with the previous one, and the result of the last ledger audit.
import { useState } from "react";
import { type Stats, useLastAudit, useStats } from "../../data/admin.ts";
import { dateTime, money, number } from "../../format.ts";
import { Badge, Card, Loaded, Notice } from "../../ui/basics.tsx";
import { Link } from "../../router.tsx";

const PERIODS = [7, 30, 90] as const;

export function Overview() {
  const [days, setDays] = useState<number>(30);
  const stats = useStats(days);
  return (
    <>
      <Card
        title={`The last ${days} days`}
        aside={
          <fieldset className="switch">
            <legend className="visually-hidden">Period</legend>
            {PERIODS.map((period) => (
              <label key={period}>
                <input
                  type="radio"
                  name="period"
                  checked={days === period}
                  onChange={() => setDays(period)}
                />
                <span>{period} days</span>
              </label>
            ))}
          </fieldset>
        }
      >
        <Loaded query={stats} lines={8}>
          {({ current, previous }) => <Figures current={current} previous={previous} />}
        </Loaded>
      </Card>
      <Loaded query={stats}>{({ current }) => <Standing stats={current} />}</Loaded>
      <Audit />
    </>
  );
}

function Figures({ current, previous }: { current: Stats; previous: Stats }) {
  return (
    <div className="comparisons" data-testid="figures">
      <Comparison label="New users" now={current.users.created} before={previous.users.created} />
      <Comparison
        label="Credits used"
        now={current.credits.spent}
        before={previous.credits.spent}
      />
      <Comparison
        label="Credits granted and bought"
        now={current.credits.granted}
        before={previous.credits.granted}
      />
      {current.payments.map(({ currency, amount, count, refundedAmount }) => {
        const before = previous.payments.find((one) => one.currency === currency);
        return (
          <Comparison
            key={currency}
            label={`Paid in ${currency.toUpperCase()}, ${number(count)} ${count === 1 ? "payment" : "payments"}${
              refundedAmount > 0 ? `, ${money(refundedAmount, currency)} refunded` : ""
            }`}
            now={amount}
            before={before?.amount ?? 0}
            write={(value) => money(value, currency)}
          />
        );
      })}
    </div>
  );
}

/** Two bars, one below the other: this period, and the previous one. */
function Comparison(props: {
  label: string;
  now: number;
  before: number;
  write?: (value: number) => string;
}) {
  const { label, now, before, write = number } = props;
  const top = Math.max(now, before, 1);
  return (
    <figure className="comparison">
      <figcaption>
        {label} <b>{write(now)}</b>
      </figcaption>
      <svg
        viewBox="0 0 100 14"
        preserveAspectRatio="none"
        role="img"
        aria-label={`${label}: ${write(now)}, in the previous period ${write(before)}`}
      >
        <rect className="bar" width={Math.max((now / top) * 100, 0.5)} height="7" rx="1" />
        <rect className="bar none" y="9" width={Math.max((before / top) * 100, 0.5)} height="5" />
      </svg>
      <span className="soft">{write(before)} in the previous period</span>
    </figure>
  );
}

function Standing({ stats }: { stats: Stats }) {
  const { users, credits, subscriptions, events } = stats;
  return (
    <Card title="Current totals">
      <dl className="facts" data-testid="standing">
        {(
          [
            ["Users", users.total],
            ["Disabled", users.disabled],
            ["Credits outstanding", credits.outstanding],
            ["Live plans", subscriptions.live],
            ["Events waiting", events.pending],
            ["Events failed", events.failed],
          ] as const
        ).map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{number(value)}</dd>
          </div>
        ))}
      </dl>
      {events.failed > 0 && (
        <Notice tone="warn" actions={<Link to="/admin/events">View failed events</Link>}>
          Some of Stripe's events could not be processed.
        </Notice>
      )}
    </Card>
  );
}

function Audit() {
  const books = useLastAudit();
  return (
    <Card
      title="Ledger audit"
      aside={
        books.data && (
          <Badge tone={books.data.ok ? "good" : "bad"}>
            {books.data.ok ? "Balanced" : "Not balanced"}
          </Badge>
        )
      }
    >
      <Loaded query={books}>
        {(data) => (
          <p data-testid="books">
            {data === null
              ? "Not audited yet. The audit runs every day; npm run doctor runs it now."
              : `Audited ${dateTime(data.at)}: ${
                  data.ok
                    ? "every credit is accounted for."
                    : "some credits are not accounted for. npm run doctor shows which."
                }`}
          </p>
        )}
      </Loaded>
    </Card>
  );
}
