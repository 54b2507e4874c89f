// The event log: the events Stripe would send, in order, bounded, with each event's delivery state.
import type { Json, StripeEvent, StripeObject, WebhookEndpoint } from "../objects/types.ts";
import { previousAttributes, type RequestStamp } from "../state/world.ts";

export type DeliveryState = "pending" | "delivered" | "failed" | "dropped";

export interface Delivery {
  endpointId: string;
  url: string;
  state: DeliveryState;
  attempts: number;
  lastStatus: number | null;
  lastError: string | null;
  /** When the next retry is scheduled, in Unix milliseconds of the real clock. */
  nextAttemptAt: number | null;
}

export interface LoggedEvent {
  id: string;
  type: string;
  created: number;
  objectId: string;
  /** `data` as JSON text, which makes it a small frozen copy. */
  data: string;
  request: RequestStamp;
  deliveries: Delivery[];
}

export interface EventLog {
  events: Map<string, LoggedEvent>;
  record(given: {
    type: string;
    object: StripeObject;
    before: StripeObject | undefined;
    created: number;
    request: RequestStamp;
  }): LoggedEvent;
  /** Records the same data again under a new event id. */
  copy(event: LoggedEvent): LoggedEvent;
  pending(event: LoggedEvent): number;
  /** The JSON text of the event as it is sent. */
  envelope(event: LoggedEvent): string;
  toObject(event: LoggedEvent): StripeEvent;
}

/** The object without what event snapshots leave out: a webhook endpoint's secret. */
function publicCopy(object: StripeObject): Json {
  if (object.object !== "webhook_endpoint") return object;
  const { secret: _secret, ...rest } = object;
  return rest;
}

function deliveriesFor(type: string, endpoints: Iterable<WebhookEndpoint>): Delivery[] {
  return [...endpoints]
    .filter(
      (endpoint) =>
        endpoint.status === "enabled" &&
        (endpoint.enabled_events.includes("*") || endpoint.enabled_events.includes(type)),
    )
    .map((endpoint) => ({
      endpointId: endpoint.id,
      url: endpoint.url,
      state: "pending",
      attempts: 0,
      lastStatus: null,
      lastError: null,
      nextAttemptAt: null,
    }));
}

function pending(event: LoggedEvent): number {
  return event.deliveries.filter((delivery) => delivery.state !== "delivered").length;
}

function envelopeOf(event: LoggedEvent, apiVersion: string): string {
  const head = JSON.stringify({
    id: event.id,
    object: "event",
    api_version: apiVersion,
    created: event.created,
  });
  const tail = JSON.stringify({
    livemode: false,
    pending_webhooks: pending(event),
    request: { id: event.request.id, idempotency_key: event.request.idempotencyKey },
    type: event.type,
  });
  return `${head.slice(0, -1)},"data":${event.data},${tail.slice(1)}`;
}

/** Creates the log. Beyond `maxEvents`, the oldest events are evicted. */
export function createEventLog(given: {
  apiVersion: string;
  maxEvents: number;
  newId(): string;
  endpoints(): Iterable<WebhookEndpoint>;
}): EventLog {
  const events = new Map<string, LoggedEvent>();
  const add = (event: LoggedEvent): LoggedEvent => {
    events.set(event.id, event);
    for (const oldest of events.keys()) {
      if (events.size <= given.maxEvents) break;
      events.delete(oldest);
    }
    return event;
  };
  const envelope = (event: LoggedEvent): string => envelopeOf(event, given.apiVersion);
  return {
    events,
    record: ({ type, object, before, created, request }) => {
      const now = publicCopy(object);
      const data: { object: Json; previous_attributes?: Json } = { object: now };
      if (before !== undefined)
        data.previous_attributes = previousAttributes(publicCopy(before), now);
      return add({
        id: given.newId(),
        type,
        created,
        objectId: object.id,
        data: JSON.stringify(data),
        request,
        deliveries: deliveriesFor(type, given.endpoints()),
      });
    },
    copy: (event) =>
      add({
        ...event,
        id: given.newId(),
        deliveries: deliveriesFor(event.type, given.endpoints()),
      }),
    pending,
    envelope,
    toObject: (event) => JSON.parse(envelope(event)) as StripeEvent,
  };
}
