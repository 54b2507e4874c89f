// The full credit history, with filter and pages, and the usage by feature.
import type { EntryType } from "@skywork/shared";
import { useState } from "react";
import { useHistory, useUsage } from "../data/queries.ts";
import { credits, number } from "../format.ts";
import { usePageTitle } from "../router.tsx";
import { Card, Loaded, Pager } from "../ui/basics.tsx";
import { CHART_DAYS, UsageChart } from "../ui/chart.tsx";
import { ENTRY_TYPES, ENTRY_WORDS, featureName } from "../words.ts";
import { Entries } from "./entries.tsx";

const PAGE = 20;

export function Activity() {
  usePageTitle("Activity");
  return (
    <div className="page">
      <header className="page-head">
        <h1>Activity</h1>
        <p className="soft">Every credit added or used. Entries are never changed or removed.</p>
      </header>
      <UsageByFeature />
      <History />
    </div>
  );
}

function UsageByFeature() {
  const usage = useUsage(CHART_DAYS);
  return (
    <Card
      title="The last 30 days"
      aside={usage.data && <span className="soft">{credits(usage.data.totalCredits)} used</span>}
    >
      <Loaded query={usage}>
        {(data) => (
          <>
            <UsageChart daily={data.daily} />
            <ul className="shares">
              {data.byFeature.map((share) => (
                <li key={share.feature}>
                  <span>
                    {featureName(share.feature)}{" "}
                    <span className="soft">
                      {number(share.calls)} {share.calls === 1 ? "time" : "times"}
                    </span>
                  </span>
                  <meter
                    min={0}
                    max={Math.max(data.totalCredits, 1)}
                    value={share.credits}
                    aria-label={`${featureName(share.feature)}: ${credits(share.credits)}`}
                  />
                  <span className="figure">{number(share.credits)}</span>
                </li>
              ))}
            </ul>
          </>
        )}
      </Loaded>
    </Card>
  );
}

function History() {
  const [type, setType] = useState<EntryType | undefined>();
  // The cursors of the pages visited so far; the last one is shown. The first page has no cursor.
  const [cursors, setCursors] = useState<readonly (string | undefined)[]>([undefined]);
  const history = useHistory({ limit: PAGE, cursor: cursors.at(-1), type });
  return (
    <Card
      title="History"
      aside={
        <label className="inline">
          <span className="visually-hidden">Show only</span>
          <select
            value={type ?? ""}
            onChange={(event) => {
              setType(ENTRY_TYPES.find((entry) => entry === event.target.value));
              setCursors([undefined]);
            }}
          >
            <option value="">Everything</option>
            {ENTRY_TYPES.map((entry) => (
              <option key={entry} value={entry}>
                {ENTRY_WORDS[entry]}
              </option>
            ))}
          </select>
        </label>
      }
    >
      <Loaded query={history} lines={8}>
        {(data) => (
          <>
            <Entries logs={data.logs} />
            <Pager
              label="Pages of the history"
              busy={history.isFetching}
              newer={cursors.length > 1 ? () => setCursors(cursors.slice(0, -1)) : null}
              older={
                data.nextCursor === null
                  ? null
                  : () => setCursors([...cursors, data.nextCursor ?? undefined])
              }
            >
              Page {cursors.length} of {Math.max(Math.ceil(data.total / PAGE), 1)}
            </Pager>
          </>
        )}
      </Loaded>
    </Card>
  );
}
