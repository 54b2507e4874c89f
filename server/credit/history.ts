// Pages of the credit history: keyset pagination on (user, seq), and a total that needs no counting.
import { decodeCursor, encodeCursor, foreignCursor } from "../lib/cursor.ts";
import { invalidField, notFound } from "../lib/errors.ts";
import type { CreditInput, CreditOutput } from "./credit.types.ts";
import type { CreditStore } from "./ports.ts";

// Without a type, an offset translates directly to a seq. With one, rows have to be skipped along the index, so it is
// bounded.
const MAX_SKIP = 100_000;
/** The largest value of the column. */
const MAX_SEQ = 2_147_483_647;

/** Returns one page, newest first. Throws VALIDATION_FAILED (foreign cursor, offset too large), NOT_FOUND. */
export async function readHistory(
  store: Pick<CreditStore, "balance" | "entries">,
  userId: string,
  { limit, offset, cursor, type }: CreditInput<"history">,
): Promise<CreditOutput<"history">> {
  if (offset !== undefined && cursor !== undefined)
    throw invalidField("cursor", "Give either offset or cursor.");
  const fromCursor = cursor === undefined ? undefined : seqOfCursor(cursor);
  const account = await store.balance(userId);
  if (account === null) throw notFound("user");
  const skip = offset ?? 0;
  if (type !== undefined && skip > MAX_SKIP)
    throw invalidField("offset", `At most ${MAX_SKIP} with a type; go on with cursor.`);
  const total = type === undefined ? account.seq : (account.entryCounts[type] ?? 0);
  const logs =
    skip >= total
      ? []
      : await store.entries(userId, {
          ...(type === undefined ? {} : { type }),
          beforeSeq: fromCursor ?? account.seq + 1 - (type === undefined ? skip : 0),
          skip: type === undefined ? 0 : skip,
          limit: limit + 1,
        });
  const page = logs.slice(0, limit);
  const last = page.at(-1);
  const nextCursor =
    logs.length > limit && last !== undefined ? encodeCursor(`seq:${last.seq}`) : null;
  return { logs: page, total, limit, offset: skip, nextCursor };
}

function seqOfCursor(cursor: string): number {
  const seq = Number(decodeCursor(cursor, /^seq:([1-9]\d{0,9})$/)[0]);
  if (seq > MAX_SEQ) throw foreignCursor();
  return seq;
}
