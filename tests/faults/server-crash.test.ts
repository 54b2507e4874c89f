// The whole server survives crashes (promise 9): SIGKILL amid spends, holds, webhooks, refunds, refreshes, checkouts.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase } from "../../server/database/open.ts";
import { auditWholeLedger } from "../../server/ledger/audit/audit.ts";
import type { Violation } from "../../server/ledger/audit/page.ts";
import type { Sandbox } from "../../server/sandbox/src/sandbox.ts";
import { createClient } from "../../shared/src/client.ts";
import { summarise } from "../bench/load.ts";
import { available } from "../support/backend.ts";
import type { AvailableBackend, OpenedBackend } from "../support/databases.ts";
import { freePort } from "../support/ports.ts";
import { startStandIns } from "../support/process.ts";
import {
  type RedisServer,
  redisServerInstalled,
  startRedisServer,
} from "../support/redis-server.ts";
import { auditCrash } from "./server-crash/audit.ts";
import { signInWithCookie } from "./server-crash/cookie-client.ts";
import { createCustomer } from "./server-crash/customer.ts";
import { createJournal } from "./server-crash/journal.ts";
import { createServerLives, type ServerLives } from "./server-crash/server-lives.ts";
import { SERVICE_KEY, serverEnv } from "../support/server-env.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { silent as logger } from "../support/silent.ts";
import { until } from "../support/until.ts";
import { bearer } from "../support/wire-call.ts";

const FULL = process.env["FULL"] === "1";
const KILLS = FULL ? 200 : 4;
const OPERATIONS = FULL ? 20_000 : 400;
const CUSTOMERS = FULL ? 24 : 12;
/** Generous: a start that has to wait for what the killed one left behind takes longer. */
const READY_MS = 60_000;
/** The grace period for repeating a refresh whose answer was lost to a kill; customers return sooner. */
const GRACE_MS = 60_000;
const REFRESH_MS = 50_000;
/** How long the work of one life may take: many times what it needs. */
const LIFE_MS = 60_000;
const ADMIN = "admin@example.com";
const RETRY_DELAYS_MS = [200, 500, 1_000, 2_000, 4_000, 8_000];

describe("SIGKILL of the whole server", () => {
  const random = seededRandom(`server crash, ${available.name}`);
  let place: Place;
  beforeAll(async () => {
    place = await openPlace(available, random.next);
  });
  afterAll(() => place.close());

  test(`${KILLS} kills in ${OPERATIONS} mixed operations lose nothing, double nothing and lock nobody out`, {
    timeout: KILLS * LIFE_MS,
  }, async () => {
    const { lives, sandbox } = place;
    const journal = createJournal(() => lives.ends);
    await lives.start();
    const admin = await signInWithCookie(lives.url, ADMIN);
    const clients = await Promise.all(
      Array.from({ length: CUSTOMERS }, (_, n) =>
        signInWithCookie(lives.url, `customer-${n}@example.com`),
      ),
    );
    const worker = createClient({
      url: `${lives.url}/api/trpc`,
      cookies: false,
      headers: () => bearer(SERVICE_KEY),
    });
    const { packages } = await worker.payment.packages.query();
    const world = { journal, random, packages, worker, admin: admin.api };
    const { control } = sandbox.stripe;
    const customers = clients.map((client) =>
      createCustomer({ ...world, door: lives.door, stripe: control }, client),
    );

    /** The downtime depends on the machine, so grace periods that were running at the kill are restarted. */
    const renewGraces = (killedAt: Date) =>
      place.inDatabase(({ session }) =>
        session.updateMany({
          where: { graceEndsAt: { gt: killedAt } },
          data: { graceEndsAt: new Date(Date.now() + GRACE_MS) },
        }),
      );

    /** After a start: checks what is stored, lets customers in, and waits for those whose refresh was cut off. */
    async function resume(killedAt: Date): Promise<void> {
      expect(await place.doctor(), `after kill ${lives.kills}`).toEqual([]);
      expect(await admin.refresh()).toBe("done");
      await renewGraces(killedAt);
      const cutOff = clients.filter((client) => client.isRefreshLost);
      const isBack = cutOff.map((client) => {
        const known = client.tokens.length;
        return () => client.tokens.length > known;
      });
      const deadlineMs = Date.now() + REFRESH_MS;
      lives.openDoor();
      while (!isBack.every((is) => is())) {
        expect(journal.wrong).toEqual([]);
        expect(Date.now(), "the end of the refresh grace").toBeLessThan(deadlineMs);
        await sleep(5);
      }
    }

    const reached = (operations: number) =>
      until(() => journal.operations >= operations, {
        ...{ withinMs: LIFE_MS, everyMs: 1 },
        otherwise: () => "The customers have stopped",
      });

    async function conduct(): Promise<void> {
      while (lives.kills < KILLS) {
        const left = Math.max(0, OPERATIONS - journal.operations) / (KILLS - lives.kills);
        const target = journal.operations + Math.ceil(left * (0.3 + random.next()));
        await reached(target);
        await sleep(random.next() * 25);
        const killedAt = new Date();
        await lives.kill();
        // Some lives end before the server is even ready.
        if (random.next() < 0.1 && lives.kills < KILLS)
          await lives.startAndKill(() => sleep(random.next() * 1_000));
        await lives.start();
        await resume(killedAt);
        if (FULL && lives.kills % 10 === 0) place.say(`${lives.kills} kills`, journal.operations);
      }
      await reached(OPERATIONS);
    }

    let over = false;
    lives.openDoor();
    const work = customers.map((customer) => customer.act(() => over));
    try {
      await Promise.race([conduct(), Promise.all(work)]);
    } finally {
      over = true;
    }
    await Promise.all(work);
    await Promise.all(customers.map((customer) => customer.clearDoubts()));
    expect(journal.wrong).toEqual([]);

    // Stripe has sent all it is going to send; reconcile fetches the rest. Nothing is repaired by hand.
    await control.idle();
    const reconciled = await lives.command("reconcile");
    expect(reconciled.code, reconciled.output).toBe(0);
    const audited = { stripe: sandbox.stripe, journal, clients: [...clients, admin] };
    const audit = () => place.inDatabase((models) => auditCrash({ ...audited, models }));
    expect(await audit()).toEqual([]);

    // Even if Stripe delivers the missing events after all, nothing changes.
    control.wellBehaved();
    await control.resendUndelivered();
    await control.idle();
    expect(await audit()).toEqual([]);
    for (const client of audited.clients) {
      expect(await client.refresh()).toBe("done");
      expect((await client.api.auth.me.query()).user.id).toBe(client.userId);
    }
    const doctor = await lives.command("doctor");
    expect(doctor.code, doctor.output).toBe(0);
    expect(await lives.stop()).toBe(0);

    const took = lives.starts.map(({ tookMs }) => tookMs);
    const own = lives.starts.map(({ ownMs }) => ownMs);
    place.say(
      `${lives.kills} kills, ${JSON.stringify(Object.fromEntries(journal.sent))},`,
      `outcomes ${JSON.stringify(journal.outcomes)}, ${control.events().length} Stripe events,`,
      `${took.length} starts: ${middleAndMost(took)}; their own time: ${middleAndMost(own)};`,
      `reconcile: ${reconciled.output.replaceAll(/\s+/g, " ")}`,
    );
    // A start's own time is what counts: a machine busy with other work delays a start as it delays everything.
    expect(Math.max(...own)).toBeLessThan(READY_MS);
    expect(lives.kills).toBe(KILLS);
    expect(lives.errors()).toEqual({});
    // Otherwise no kill ever hit anything in flight.
    expect(journal.outcomes.inDoubt).toBeGreaterThan(KILLS);
  });
});

/** A database, a Redis if available, the sandboxes, and the server that uses them. */
interface Place {
  readonly lives: ServerLives;
  readonly sandbox: Sandbox;
  doctor(): Promise<readonly Violation[]>;
  /** Runs `work` on its own connection, closed afterwards, so that what a kill leaves in a file stays as it is. */
  inDatabase<T>(
    work: (models: OpenedBackend["backend"]["database"]["models"]) => Promise<T>,
  ): Promise<T>;
  say(...words: (string | number)[]): void;
  close(): Promise<void>;
}

async function openPlace(available: AvailableBackend, random: () => number): Promise<Place> {
  const opened = await available.open();
  await opened.backend.close();
  // Its own Redis, because the server's key names are the same everywhere.
  let redis: RedisServer | null = null;
  if (available.redis && redisServerInstalled) redis = await startRedisServer();
  const { sandbox, env } = await startStandIns(await freePort(), {
    stripe: { retryDelaysMs: RETRY_DELAYS_MS, maxEvents: 200_000, random },
  });
  // One in twelve events is never delivered; some are delivered twice.
  sandbox.stripe.control.misdeliver({ dropShare: 0.08, duplicate: 1 });
  const lives = createServerLives(
    serverEnv({
      DEFAULT_SIGNUP_CREDITS: "300",
      ADMIN_EMAILS: ADMIN,
      DATABASE_URL: opened.env["DATABASE_URL"] ?? "",
      ...(redis === null ? {} : { REDIS_URL: `redis://127.0.0.1:${redis.port}` }),
      ...env,
    }),
  );
  const inDatabase: Place["inDatabase"] = async (work) => {
    const open = await openDatabase({ config: opened.config, logger });
    try {
      return await work(open.database.models);
    } finally {
      await open.close();
    }
  };
  return {
    lives,
    sandbox,
    inDatabase,
    async doctor() {
      const open = await openDatabase({ config: opened.config, logger });
      try {
        return await auditWholeLedger({ database: open.database });
      } finally {
        await open.close();
      }
    },
    say: (...words) =>
      process.stdout.write(`server crash, ${available.name}: ${words.join(" ")}\n`),
    async close() {
      await lives.close();
      await sandbox.close();
      await redis?.kill();
      await opened.close();
    },
  };
}

function middleAndMost(values: readonly number[]): string {
  const ms = (value: number) => `${Math.round(value)} ms`;
  return `p50 ${ms(summarise(values).p50Ms)}, max ${ms(Math.max(...values))}`;
}
