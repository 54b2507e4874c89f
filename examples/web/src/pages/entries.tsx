// A list of entries of the credit history.
import type { AppRouter } from "@skywork/shared";
import type { inferRouterOutputs } from "@trpc/server";
import { dateTime, number } from "../format.ts";
import { Empty } from "../ui/basics.tsx";
import { ENTRY_WORDS, featureName } from "../words.ts";

type Entry = inferRouterOutputs<AppRouter>["credit"]["history"]["logs"][number];

export function Entries({ logs }: { logs: readonly Entry[] }) {
  if (logs.length === 0) return <Empty>Nothing here yet.</Empty>;
  return (
    <ul className="list" data-testid="entries">
      {logs.map((entry) => (
        <li key={entry.id}>
          <span>
            <b>{entry.feature === null ? ENTRY_WORDS[entry.type] : featureName(entry.feature)}</b>
            <span className="soft">
              {dateTime(entry.createdAt)}
              {entry.type !== "USAGE" && entry.description !== null && ` · ${entry.description}`}
            </span>
          </span>
          <span className="figure">
            <span className={entry.amount < 0 ? "minus" : "plus"}>
              {entry.amount < 0 ? "−" : "+"}
              {number(Math.abs(entry.amount))}
            </span>
            <span className="soft">
              <span className="visually-hidden">balance then </span>
              {number(entry.balance)}
            </span>
          </span>
        </li>
      ))}
    </ul>
  );
}
