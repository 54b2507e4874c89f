// The check of keys: what was acknowledged is there, what was refused is not, what is unknown is there at most
// once, and nothing is there that nobody asked for.
import type { ClientJournal, KeyRecord } from "./client-journal.ts";
import { type Entry, keyOf } from "./checks.ts";
import type { World } from "./world.ts";

/** Sentences of what does not add up. */
export function checkKeys({ store, stripe }: World, journal: ClientJournal): string[] {
  const wrong: string[] = [];
  const effects = new Map<string, string[]>();
  const add = (key: string, id: string): void => {
    effects.set(key, [...(effects.get(key) ?? []), id]);
  };
  const entries = store.rows<Entry>("SELECT * FROM credit_logs");
  const holds = store.rows<{ id: string; userId: string; idempotencyKey: string; state: string }>(
    `SELECT id, userId, idempotencyKey, CASE status WHEN 'SETTLED'
     THEN status || ' ' || settledAmount ELSE status END AS state FROM credit_holds`,
  );
  for (const entry of entries) {
    const key = keyOf(entry);
    if (key !== null) add(key, entry.id);
  }
  for (const { id, userId, idempotencyKey } of holds) add(`${userId} ${idempotencyKey}`, id);
  for (const { id, metadata } of stripe.tables.refunds.values()) {
    const { orderKey } = metadata;
    const colon = orderKey?.indexOf(":") ?? -1;
    // Refunds of duplicates and from the dashboard are nobody's order here.
    if (orderKey !== undefined && /:refund-\d+$/.test(orderKey))
      add(`${orderKey.slice(0, colon)} ${orderKey.slice(colon + 1)}`, id);
  }

  const asked = new Map(journal.keys.map((record) => [`${record.userId} ${record.key}`, record]));
  for (const [key, record] of asked) wrong.push(...verdict(key, record, effects.get(key) ?? []));
  for (const [key, ids] of effects)
    if (!asked.has(key)) wrong.push(`${key} made ${ids.join(", ")} and nobody asked for it`);

  const states = new Map(holds.map(({ id, state }) => [id, state]));
  for (const { holdId, ends, unsure } of journal.holds) {
    const state = states.get(holdId) ?? "not there";
    if (ends.length > 1) wrong.push(`hold ${holdId} ended as ${ends.join(" and as ")}`);
    const [end = unsure > 0 ? state : "EXPIRED"] = ends;
    if (state !== end) wrong.push(`hold ${holdId} is ${state}, by what was answered ${end}`);
  }
  for (const { id, type, metadata, sourceId } of entries)
    if (type === "USAGE" && metadata === null && !states.has(sourceId ?? ""))
      wrong.push(`usage entry ${id} belongs to no spend and no hold`);
  return wrong;
}

function verdict(key: string, record: KeyRecord, ids: readonly string[]): string[] {
  const acknowledged = [...record.effects];
  if (ids.length > 1) return [`${key} took effect as ${ids.join(" and ")}`];
  if (acknowledged.length > 0)
    return ids[0] === acknowledged[0]
      ? []
      : [`${key} was acknowledged as ${acknowledged[0]} and is ${ids[0] ?? "not there"}`];
  if (record.unsure === 0 && ids.length > 0)
    return [`${key} was refused ${record.refusals} times and is there as ${ids[0]}`];
  return [];
}
