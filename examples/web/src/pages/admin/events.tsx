// The Stripe events as they arrived, and a button to replay one.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { EventState } from "@skywork/shared";
import { useState } from "react";
import { afterAdminWrite, useEvents } from "../../data/admin.ts";
import { useSkywork } from "../../data/skywork.tsx";
import { dateTime } from "../../format.ts";
import { Badge, Button, Card, Empty, Failure, Loaded, Pager, type Tone } from "../../ui/basics.tsx";

const STATE_WORDS: Record<EventState, { text: string; tone: Tone }> = {
  PENDING: { text: "Waiting", tone: "warn" },
  PROCESSED: { text: "Processed", tone: "good" },
  IGNORED: { text: "Ignored", tone: "soft" },
  FAILED: { text: "Failed", tone: "bad" },
};
const STATES = Object.keys(STATE_WORDS) as EventState[];

export function Events() {
  const { api } = useSkywork();
  const queryClient = useQueryClient();
  const [status, setStatus] = useState<EventState | undefined>();
  const [cursors, setCursors] = useState<readonly (string | undefined)[]>([undefined]);
  const events = useEvents(status, cursors.at(-1));
  const replay = useMutation({
    mutationFn: (eventId: string) => api.admin.replayEvent.mutate({ eventId }),
    onSuccess: () => afterAdminWrite(queryClient),
  });
  return (
    <Card
      title="Stripe events"
      aside={
        <label className="inline">
          <span className="visually-hidden">Show only</span>
          <select
            value={status ?? ""}
            onChange={(event) => {
              setStatus(STATES.find((state) => state === event.target.value));
              setCursors([undefined]);
            }}
          >
            <option value="">Everything</option>
            {STATES.map((state) => (
              <option key={state} value={state}>
                {STATE_WORDS[state].text}
              </option>
            ))}
          </select>
        </label>
      }
    >
      <p role="status" className="soft">
        {replay.data !== undefined &&
          `Processed again: ${STATE_WORDS[replay.data.status].text.toLowerCase()}.`}
      </p>
      <Failure error={replay.error} />
      <Loaded query={events} lines={8}>
        {(data) => (
          <>
            {data.events.length === 0 && <Empty>No events.</Empty>}
            <ul className="list" data-testid="events">
              {data.events.map((event) => (
                <li key={event.id}>
                  <span>
                    <b>{event.type}</b>{" "}
                    <Badge tone={STATE_WORDS[event.status].tone}>
                      {STATE_WORDS[event.status].text}
                    </Badge>
                    <span className="soft">
                      {dateTime(event.receivedAt)} · {event.objectId ?? event.id}
                      {event.attempts > 1 && ` · ${event.attempts} attempts`}
                    </span>
                    {event.lastError !== null && (
                      <span className={event.status === "FAILED" ? "problem" : "soft"}>
                        {event.lastError}
                      </span>
                    )}
                  </span>
                  <Button
                    busy={replay.isPending && replay.variables === event.id}
                    onClick={() => replay.mutate(event.id)}
                  >
                    Replay
                    <span className="visually-hidden">
                      {" "}
                      {event.type} of {dateTime(event.receivedAt)}
                    </span>
                  </Button>
                </li>
              ))}
            </ul>
            <Pager
              label="Pages of events"
              busy={events.isFetching}
              newer={cursors.length > 1 ? () => setCursors(cursors.slice(0, -1)) : null}
              older={
                data.nextCursor === null
                  ? null
                  : () => setCursors([...cursors, data.nextCursor ?? undefined])
              }
            >
              Page {cursors.length}
            </Pager>
          </>
        )}
      </Loaded>
    </Card>
  );
}
