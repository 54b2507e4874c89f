// Promise 10 on MySQL and on MariaDB: killed mid-transaction repeatedly, and frozen, under load.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { auditFailover } from "../support/failover-audit.ts";
import { recoveryLine } from "../support/failover-load.ts";
import { atCommit, type FailoverWorld, openFailoverWorld } from "../support/failover-world.ts";
import { chosenEngine } from "../support/servers.ts";
import { isChosen } from "../support/engine-choice.ts";
import { sqlProgram } from "../support/engines/programs.ts";
import { type SqlServer, startSqlServer } from "../support/engines/sql-server.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const FULL = Boolean(process.env["FULL"]);
const KILLS = FULL ? 50 : 3;
const FREEZES = FULL ? 5 : 1;
const RECOVERS_WITHIN_MS = 10_000;
/** How long the database is unavailable, in rotation: shorter and longer than a request is kept waiting. */
const UNAVAILABLE_MS = [0, 500, 1_000, 3_500];
/** Longer than a request is kept waiting for an unresponsive database. */
const FROZEN_MS = 4_000;
/** When it is killed, in rotation: around the COMMIT of a batch, or as soon as the previous recovery is over. */
const MOMENTS = ["before", "after", "any"] as const;

const ENGINES = [
  { engine: "mysql", name: "MySQL" },
  { engine: "mariadb", name: "MariaDB" },
] as const;
const candidates = await Promise.all(
  ENGINES.filter(({ engine }) => isChosen(engine, chosenEngine())).map(async (candidate) => {
    // Fetches the engine if it is neither installed nor cached.
    const missing = await sqlProgram(candidate.engine).then(() => null, String);
    return { ...candidate, missing };
  }),
);

for (const { name, missing } of candidates)
  if (missing !== null) console.log(`Failover of ${name} is not covered: ${missing}`);
test.runIf(Boolean(process.env["CI"]))("CI covers the failover of every engine", () => {
  expect(candidates.filter(({ missing }) => missing !== null)).toEqual([]);
});

describe.each(candidates.filter(({ missing }) => missing === null))("$name", ({ engine, name }) => {
  let database: SqlServer;
  let proxy: TcpProxy;
  let world: FailoverWorld;
  let databaseUrl: string;
  beforeAll(async () => {
    database = await startSqlServer(engine);
    databaseUrl = `${database.url}skywork_failover`;
    proxy = await startTcpProxy("127.0.0.1", database.port);
    world = await openFailoverWorld(databaseUrl.replace(String(database.port), String(proxy.port)));
  });
  afterAll(async () => {
    await world?.close();
    await proxy?.close();
    await database?.close();
  });

  /** The ledger's transactions run back to back, so `any` moment falls within one, too. */
  function kill(moment: (typeof MOMENTS)[number]): Promise<void> {
    return moment === "any" ? database.kill() : atCommit(proxy, moment, () => database.kill());
  }

  test(`killed ${KILLS} and frozen ${FREEZES} times: nothing acknowledged is lost, and the errors end`, {
    timeout: (KILLS + FREEZES) * 40_000,
  }, async () => {
    const { load } = world;
    const kills: number[] = [];
    const freezes: number[] = [];
    for (let round = 0; round < KILLS + FREEZES; round += 1) {
      await load.flows(150);
      const frozen = round % 10 === 3 && freezes.length < FREEZES;
      const faultAtMs = Date.now();
      if (frozen) database.freeze();
      else await kill(MOMENTS[kills.length % MOMENTS.length] ?? "any");
      await sleep(frozen ? FROZEN_MS : UNAVAILABLE_MS[kills.length % UNAVAILABLE_MS.length]);
      if (frozen) database.thaw();
      else await database.start();
      const errorsMs = await load.recovery(faultAtMs, Date.now(), RECOVERS_WITHIN_MS);
      (frozen ? freezes : kills).push(errorsMs);
      expect(world.complaints()).toEqual([]);
      expect(load.book.wrong).toEqual([]);
      expect((await fetch(`${world.server.url}/ready`)).status).toBe(200);
    }
    await load.stop();
    const audit = await auditFailover(load, databaseUrl);
    console.log(recoveryLine(`${name} killed`, kills));
    console.log(recoveryLine(`${name} frozen`, freezes));
    console.log(
      `${audit.acknowledged} spends acknowledged, ${audit.lost} of them lost; ${audit.inDoubt} in doubt, ${audit.inDoubtThere} of them there; ${load.refusals} refusals`,
    );
    expect(audit.broken).toEqual([]);
    expect(audit.acknowledged).toBeGreaterThan(100 * KILLS);
    // Otherwise no requests were made during the outages, and the kills have proven nothing.
    expect(load.refusals).toBeGreaterThan(KILLS);
    expect(world.complaints()).toEqual([]);
  });
});
