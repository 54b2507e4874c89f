// A year of a hundred thousand users, made by the database itself: books the doctor is content with, and work for every job.
import type { SqlSession } from "../../server/database/ports.ts";
import type { Instance } from "./world.ts";

/** How much is made. Entries, keys and the rest follow from the users. */
export interface ScaleSize {
  readonly users: number;
  /** Entries of the first user, who uses the program all day. */
  readonly entriesOfBusiest: number;
}

/** The size of the proof (FULL=1), and that of a quick look. */
export const SIZES = {
  full: { users: 100_000, entriesOfBusiest: 200_000 },
  small: { users: 2_000, entriesOfBusiest: 10_000 },
} as const satisfies Readonly<Record<string, ScaleSize>>;

/** Entries of everybody else: a signup, one purchase in ten, usage. */
export const ENTRIES = 52;
const KEYS = 17;
const YEAR_SECONDS = 365 * 86_400;
/** Few enough for the ten seconds that a statement of this lane may take, also beside other work. */
const USERS_PER_STATEMENT = 500;
const SIGNUP = 10_000_000;

/** The id of user `n`, from 1. */
export const userIdOf = (n: number) => `usr_${String(n).padStart(8, "0")}`;

const USER = "CONCAT('usr_', LPAD(u.n, 8, '0'))";
const ENTRY = "CONCAT(LPAD(u.n, 8, '0'), '-0000-7000-8000-', LPAD(s.n, 12, '0'))";
const LOT = "CONCAT('lot_', LPAD(u.n, 8, '0'))";
const BUYS = "(u.n MOD 10 = 0)";
const HELD = "(u.n MOD 5 = 0 AND s.n = " + ENTRIES + ")";
/** Entry `s` of user `u`, of `e` in all: the last one lies within the last ten hours. */
const WHEN = (e: number) =>
  `TIMESTAMPADD(SECOND, -FLOOR((${e} - s.n) * ${YEAR_SECONDS / e} + (u.n * 7919) MOD 36000 + 60), @at)`;
/** After entry `s`: the signup, what was bought, one credit for each use. */
const BALANCE = `${SIGNUP} + CASE WHEN ${BUYS} AND s.n >= 2 THEN 503 - s.n ELSE 1 - s.n END`;

const NUMBERS = [
  "CREATE TABLE bench_numbers (n INT NOT NULL PRIMARY KEY)",
  "INSERT INTO bench_numbers VALUES (1)",
];

/** Fills the empty database of `instance`, on MySQL or MariaDB. Answers how many rows there are of what. */
export async function fillScale(
  { backend }: Instance,
  size: ScaleSize,
): Promise<{ users: number; entries: number; keys: number }> {
  const run = (statements: readonly string[]) =>
    backend.database.rawTransaction(async (session) => {
      await session.execute(`SET @at = UTC_TIMESTAMP(3)`, []);
      for (const sql of statements) await session.execute(sql, []);
    });
  await run(NUMBERS);
  const numbers = Math.max(size.users, size.entriesOfBusiest);
  for (let have = 1; have < numbers; have *= 2)
    await run([`INSERT INTO bench_numbers SELECT n + ${have} FROM bench_numbers`]);
  for (let from = 1; from <= size.users; from += USERS_PER_STATEMENT) {
    const to = Math.min(size.users, from + USERS_PER_STATEMENT - 1);
    await run(rowsOf(`u.n BETWEEN ${from} AND ${to}`));
    // The others' entries and keys: the first user has more, and is made below.
    await run(entriesOf(`u.n BETWEEN ${Math.max(2, from)} AND ${to}`, ENTRIES));
  }
  for (let after = 0; after < size.entriesOfBusiest; after += 50_000)
    await run(
      entriesOf(`u.n = 1 AND s.n > ${after}`, size.entriesOfBusiest, after + 50_000).slice(0, 2),
    );
  await run([
    `UPDATE users SET ledgerSeq = ${size.entriesOfBusiest}, credits = ${SIGNUP + 1 - size.entriesOfBusiest},
      entryCounts = '{"SIGNUP":1,"USAGE":${size.entriesOfBusiest - 1}}' WHERE id = '${userIdOf(1)}'`,
    `UPDATE credit_grants SET remaining = ${SIGNUP + 1 - size.entriesOfBusiest} WHERE userId = '${userIdOf(1)}'`,
    "DROP TABLE bench_numbers",
  ]);
  await backend.database.rawTransaction((session) => analyze(session));
  return {
    users: size.users,
    entries: (size.users - 1) * ENTRIES + size.entriesOfBusiest,
    keys: (size.users - 1) * KEYS,
  };
}

/** So that the first plan is made with what is there. */
async function analyze(session: SqlSession): Promise<void> {
  await session.query("ANALYZE TABLE users, credit_logs, usage_logs, idempotency_keys", []);
}

/** Users with what they have one of: a lot, sessions, a purchase, Stripe events. */
function rowsOf(range: string): string[] {
  const from = `FROM bench_numbers u WHERE ${range}`;
  const born = `TIMESTAMPADD(SECOND, -(u.n * 311) MOD ${YEAR_SECONDS} - 36100, @at)`;
  const old = (days: number) => `TIMESTAMPADD(DAY, -${days}, @at)`;
  return [
    `INSERT INTO users (id, email, name, role, credits, ledgerSeq, entryCounts, createdAt, updatedAt)
     SELECT ${USER}, CONCAT(ELT(1 + u.n MOD 7, 'ada', 'grace', 'alan', 'edsger', 'barbara', 'donald', 'leslie'), u.n, '@', ELT(1 + u.n MOD 3, 'mail', 'post', 'uni'), '.example'),
       CONCAT(ELT(1 + u.n MOD 7, 'Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald', 'Leslie'), ' ', ELT(1 + u.n MOD 5, 'Meyer', 'Sato', 'Okafor', 'Silva', 'Novak')),
       'USER', ${SIGNUP} + CASE WHEN ${BUYS} THEN ${503 - ENTRIES} ELSE ${1 - ENTRIES} END, ${ENTRIES},
       CASE WHEN ${BUYS} THEN '{"SIGNUP":1,"PURCHASE":1,"USAGE":${ENTRIES - 2}}' ELSE '{"SIGNUP":1,"USAGE":${ENTRIES - 1}}' END,
       ${born}, @at ${from}`,
    `INSERT INTO credit_grants (id, userId, amount, remaining, isOpen, source, grantKey, createdAt)
     SELECT ${LOT}, ${USER}, ${SIGNUP}, ${SIGNUP} - CASE WHEN ${BUYS} THEN ${ENTRIES - 2} ELSE ${ENTRIES - 1} END, 1, 'SIGNUP', CONCAT('signup:', ${USER}), ${born} ${from}`,
    `INSERT INTO payments (id, userId, stripeSessionId, amount, currency, status, creditsPurchased, createdAt, paidAt, updatedAt)
     SELECT CONCAT('pay_', u.n), ${USER}, CONCAT('cs_', u.n), 999, 'usd', 'SUCCESS', 501, ${born}, ${born}, @at ${from} AND ${BUYS}`,
    `INSERT INTO credit_grants (id, userId, amount, remaining, isOpen, source, sourceId, grantKey, createdAt)
     SELECT CONCAT('buy_', u.n), ${USER}, 501, 501, 1, 'PURCHASE', CONCAT('pay_', u.n), CONCAT('payment:pay_', u.n), ${born} ${from} AND ${BUYS}`,
    // Two sign-ins, one of which ended long ago.
    ...[3, 40].map(
      (days) =>
        `INSERT INTO sessions (id, userId, refreshTokenHash, createdAt, rotatedAt, lastUsedAt, expiresAt, absoluteExpiresAt)
         SELECT CONCAT('ses_${days}_', u.n), ${USER}, CONCAT('hash_${days}_', u.n), ${old(days)}, ${old(days)}, ${old(days)}, TIMESTAMPADD(DAY, 30, ${old(days)}), TIMESTAMPADD(DAY, 30, ${old(days)}) ${from}`,
    ),
    ...[10, 100].map(
      (days) =>
        `INSERT INTO stripe_events (id, type, status, payload, createdAt, receivedAt, processedAt)
         SELECT CONCAT('evt_${days}_', u.n), 'invoice.paid', 'PROCESSED', REPEAT('x', 300), ${old(days)}, ${old(days)}, ${old(days)} ${from}`,
    ),
  ];
}

/** Entries up to `last` of `total`, their calls, the holds behind some, the newest ones' keys. */
function entriesOf(range: string, total: number, last = total): string[] {
  const from = `FROM bench_numbers u STRAIGHT_JOIN bench_numbers s ON s.n <= ${Math.min(total, last)} WHERE ${range}`;
  const type = `CASE WHEN s.n = 1 THEN 'SIGNUP' WHEN ${BUYS} AND s.n = 2 THEN 'PURCHASE' ELSE 'USAGE' END`;
  const isUse = `(s.n > 1 AND NOT (${BUYS} AND s.n = 2))`;
  const feature = "ELT(1 + s.n MOD 3, 'chat-flash', 'chat-pro', 'ppt-edit')";
  const hold = "CONCAT('hold_', u.n)";
  const when = WHEN(total);
  return [
    `INSERT INTO credit_logs (userId, seq, id, amount, balance, type, feature, lots, priceVersion, sourceId, createdAt)
     SELECT ${USER}, s.n, ${ENTRY}, CASE WHEN s.n = 1 THEN ${SIGNUP} WHEN ${isUse} THEN -1 ELSE 501 END, ${BALANCE}, ${type},
       CASE WHEN ${isUse} THEN ${feature} END, CONCAT('[["', ${LOT}, '",1]]'), 'bench',
       CASE WHEN ${HELD} THEN ${hold} WHEN ${isUse} OR s.n = 1 THEN NULL ELSE CONCAT('pay_', u.n) END, ${when} ${from}`,
    `INSERT INTO usage_logs (id, userId, feature, model, credits, durationMs, success, createdAt)
     SELECT ${ENTRY}, ${USER}, ${feature}, 'model', 1, 900, 1, ${when} ${from} AND ${isUse}`,
    `INSERT INTO credit_holds (id, userId, amount, settledAmount, status, feature, transactionId, lots, expiresAt, createdAt, endedAt)
     SELECT ${hold}, ${USER}, 5, 1, 'SETTLED', ${feature}, ${ENTRY}, '[]', ${when}, ${when}, ${when} ${from} AND ${HELD}`,
    `INSERT INTO idempotency_keys (userId, \`key\`, inputHash, answer, createdAt)
     SELECT ${USER}, CONCAT('user:', SHA2(CONCAT(u.n, '-', s.n), 224)), SHA2(CONCAT(s.n, '-', u.n), 256),
       CONCAT('{"t":"', ${ENTRY}, '","a":1,"c":', ${BALANCE}, ',"d":0,"q":', s.n, ',"p":"bench"}'), ${when} ${from} AND s.n > ${total - KEYS}`,
  ];
}
