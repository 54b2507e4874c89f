// Which incoming events are trusted, by signature, age, mode and account, and the few fields read from them.
import { createHmac, timingSafeEqual } from "node:crypto";
import { jsonOrUndefined } from "../../lib/json.ts";
import { trimOptionalWhitespace } from "../../lib/text.ts";
import { LAST_MS } from "../../lib/time.ts";
import type { StripeEventNotice, StripePort, VerifiedEvent } from "../../payment/stripe/port.ts";
import { malformed } from "./calls.ts";
import { PAGE, type StripeClient, unixSeconds } from "./client.ts";
import { idOrNull, objectOf, readList, textOrNull } from "./parse.ts";

/** Stripe's own tolerance. Here it also applies to timestamps in the future, which `constructEvent` accepts. */
const TOLERANCE_SECONDS = 300;
const MAX_SIGNATURES = 20;

const ID = /^[A-Za-z0-9_]{1,255}$/;

/** Reads the time and the v1 signatures of `t=…,v1=…[,v1=…]`; null when malformed. `v0` never counts. */
function parseHeader(header: string): { timestamp: number; signatures: Buffer[] } | null {
  if (header.length > 4096) return null;
  let timestamp: number | null = null;
  const signatures: Buffer[] = [];
  for (const part of header.split(",")) {
    const [name, value] = trimOptionalWhitespace(part).split("=", 2);
    if (value === undefined) continue;
    if (name === "t") {
      if (timestamp !== null || !/^\d{1,12}$/.test(value)) return null;
      timestamp = Number(value);
    }
    if (name === "v1" && /^[0-9a-f]{64}$/.test(value) && signatures.length < MAX_SIGNATURES)
      signatures.push(Buffer.from(value, "hex"));
  }
  return timestamp === null ? null : { timestamp, signatures };
}

/** A v2 API event names its object without including it; none of the events we handle come that way. */
const THIN_EVENT = "v2.core.event";

function readThinNotice(raw: Readonly<Record<string, unknown>>): StripeEventNotice | null {
  const id = textOrNull(raw, "id");
  const type = textOrNull(raw, "type");
  const createdAt = Date.parse(textOrNull(raw, "created") ?? "");
  if (id === null || !ID.test(id) || type === null || type.length > 100) return null;
  if (!(createdAt >= 0 && createdAt <= LAST_MS)) return null;
  return {
    id,
    type,
    createdAt: new Date(createdAt),
    objectId: null,
    objectType: null,
    paymentIntentId: null,
    chargeId: null,
  };
}

export function signatureRefusal(signatureHeader: string | null, nowMs: number): string | null {
  const header = readSignature(signatureHeader, nowMs);
  return "refusal" in header ? header.refusal : null;
}

/** Checks a delivery by its signature header alone (presence, format, age). Returns it, or why it is refused. */
function readSignature(
  signatureHeader: string | null,
  nowMs: number,
): { timestamp: number; signatures: Buffer[] } | { refusal: string } {
  if (signatureHeader === null) return { refusal: "The signature is missing." };
  const header = parseHeader(signatureHeader);
  if (header === null) return { refusal: "The signature cannot be read." };
  if (header.signatures.length === 0) return { refusal: "The signature is missing." };
  if (Math.abs(nowMs / 1000 - header.timestamp) > TOLERANCE_SECONDS)
    return { refusal: "The signature is too old or from the future." };
  return header;
}

/**
 * Returns the notice in an event object, signed or listed by the API; null when a field is missing or invalid.
 * `signedAtSeconds` replaces a missing `created`.
 */
export function readNotice(value: unknown, signedAtSeconds?: number): StripeEventNotice | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const raw = objectOf(value, "event");
  if (raw["object"] === THIN_EVENT) return readThinNotice(raw);
  const data = Object.hasOwn(raw, "data") ? raw.data : undefined;
  if (typeof data !== "object" || data === null || !Object.hasOwn(data, "object")) return null;
  const object = (data as { object?: unknown }).object;
  if (typeof object !== "object" || object === null || Array.isArray(object)) return null;
  const it = objectOf(object, "event object");
  const id = textOrNull(raw, "id");
  const type = textOrNull(raw, "type");
  const created = Object.hasOwn(raw, "created") ? raw.created : signedAtSeconds;
  const objectId = textOrNull(it, "id");
  const objectType = textOrNull(it, "object");
  if (id === null || !ID.test(id) || type === null || type.length > 100) return null;
  if ((objectType?.length ?? 0) > 100 || (objectId?.length ?? 0) > 255) return null;
  if (!Number.isSafeInteger(created)) return null;
  if ((created as number) < 0 || (created as number) > LAST_MS / 1000) return null;
  const paymentIntentId = idOrNull(it, "payment_intent");
  const chargeId = objectType === "charge" ? objectId : idOrNull(it, "charge");
  return {
    id,
    type,
    createdAt: new Date((created as number) * 1000),
    objectId,
    objectType,
    paymentIntentId: paymentIntentId !== null && ID.test(paymentIntentId) ? paymentIntentId : null,
    chargeId: chargeId !== null && ID.test(chargeId) ? chargeId : null,
  };
}

/**
 * Verifies one delivery. Any of `secrets` may have signed it; the time may be off by 5 minutes either way.
 * Refuses events of the other mode and of connected accounts. Never throws.
 */
export function verifyEvent(
  rawBody: Buffer,
  signatureHeader: string | null,
  options: { secrets: readonly string[]; livemode: boolean; nowMs: number },
): VerifiedEvent {
  const header = readSignature(signatureHeader, options.nowMs);
  if ("refusal" in header) return { ok: false, reason: header.refusal };
  const matches = options.secrets.some((secret) => {
    const expected = createHmac("sha256", secret)
      .update(`${header.timestamp}.`)
      .update(rawBody)
      .digest();
    return header.signatures.some((signature) => timingSafeEqual(signature, expected));
  });
  if (!matches) return { ok: false, reason: "The signature is wrong." };
  const parsed = jsonOrUndefined(rawBody.toString("utf8"));
  if (parsed === undefined) return { ok: false, reason: "The body is not JSON." };
  const event = readNotice(parsed, header.timestamp);
  if (event === null) return { ok: false, reason: "The body is not an event." };
  const { livemode, account } = parsed as { livemode?: unknown; account?: unknown };
  if (typeof livemode === "boolean" && livemode !== options.livemode)
    return { ok: false, reason: "The event is of another mode." };
  if (account !== undefined && account !== null)
    return { ok: false, reason: "The event is of another account." };
  return { ok: true, event };
}

export function listEvents(
  { sdk, call }: StripeClient,
  filter: Parameters<StripePort["listEvents"]>[0],
): ReturnType<StripePort["listEvents"]> {
  return call(
    "events.list",
    (options) =>
      sdk.events.list(
        {
          created: { gte: unixSeconds(filter.createdSince) },
          types: [...filter.types],
          limit: PAGE,
          ...(filter.after === null ? {} : { starting_after: filter.after }),
        },
        options,
      ),
    (answer) => {
      const { items, more } = readList(answer, readListedNotice);
      return { events: items, more };
    },
  );
}

function readListedNotice(item: unknown): StripeEventNotice {
  const notice = readNotice(item);
  if (notice === null) throw malformed("event");
  return notice;
}
