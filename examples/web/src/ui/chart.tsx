// The usage chart: one bar per day, drawn as SVG, with a text alternative for screen readers.
import { credits, day, number } from "../format.ts";
import { Empty } from "./basics.tsx";

/** The number of days shown, and to request from the server. */
export const CHART_DAYS = 30;

const WIDTH = 600;
const HEIGHT = 130;
const GAP = 3;

export interface Day {
  readonly date: string;
  readonly credits: number;
}

/** Fills in days without usage, so that each of the last `days` days up to `today` has an entry. */
function everyDay(daily: readonly Day[], days: number, today: string): Day[] {
  const known = new Map(daily.map((entry) => [entry.date, entry.credits]));
  const end = Date.parse(`${today}T00:00:00Z`);
  return Array.from({ length: days }, (_, index) => {
    const date = new Date(end - (days - 1 - index) * 86_400_000).toISOString().slice(0, 10);
    return { date, credits: known.get(date) ?? 0 };
  });
}

/** Today's date in the user's time zone, as `2026-11-22`. */
function localToday(): string {
  const now = new Date();
  const pad = (value: number) => String(value).padStart(2, "0");
  return `${now.getFullYear()}-${pad(now.getMonth() + 1)}-${pad(now.getDate())}`;
}

/** The last `CHART_DAYS` days, or just a message when nothing was used in them. */
export function UsageChart(props: { daily: readonly Day[]; today?: string }) {
  const days = everyDay(props.daily, CHART_DAYS, props.today ?? localToday());
  const total = days.reduce((sum, entry) => sum + entry.credits, 0);
  if (total === 0) return <Empty>Nothing used yet. Days when you use credits appear here.</Empty>;
  const top = Math.max(...days.map((entry) => entry.credits));
  const step = WIDTH / days.length;
  const first = days[0];
  const last = days.at(-1);
  return (
    <figure className="chart">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${credits(total)} used in ${days.length} days, at most ${number(top)} on one day.`}
      >
        {[0.25, 0.5, 0.75].map((part) => (
          <line
            key={part}
            className="chart-line"
            x1="0"
            x2={WIDTH}
            y1={HEIGHT * part}
            y2={HEIGHT * part}
          />
        ))}
        {days.map((entry, index) => {
          const height =
            entry.credits === 0 ? 2 : Math.max((entry.credits / top) * (HEIGHT - 8), 5);
          return (
            <rect
              key={entry.date}
              className={entry.credits === 0 ? "bar none" : "bar"}
              x={index * step + GAP / 2}
              y={HEIGHT - height}
              width={step - GAP}
              height={height}
              rx="2.5"
            >
              <title>{`${day(entry.date)}: ${credits(entry.credits)}`}</title>
            </rect>
          );
        })}
      </svg>
      <figcaption aria-hidden="true">
        <span>{first && day(first.date)}</span>
        <span>{last && day(last.date)}</span>
      </figcaption>
    </figure>
  );
}
