// Executes the guide "Move from the ancestor": tables as the ancestor had them, the guide's SQL, doctor and sign-in.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { auditWholeLedger } from "../../../server/ledger/audit/audit.ts";
import { subFor } from "../../../server/sandbox/src/google/users.ts";
import { describeBackend } from "../../support/databases.ts";
import { availableServers } from "../../support/servers.ts";
import { connectMysql, withMysql } from "../../support/mysql-databases.ts";
import { openTestApp, type TestApp } from "../../support/server.ts";

const GUIDE = join(import.meta.dirname, "../../../docs/guides/move-from-the-ancestor.md");

/** Columns, keys and the server's default collation, as created by the ancestor's Prisma schema. */
const ANCESTOR = `
CREATE TABLE users (
  id VARCHAR(191) PRIMARY KEY, googleId VARCHAR(191) UNIQUE, email VARCHAR(191) NOT NULL UNIQUE, name VARCHAR(191) NOT NULL,
  avatar VARCHAR(191), role ENUM('USER', 'ADMIN') NOT NULL DEFAULT 'USER', credits INT NOT NULL DEFAULT 100,
  createdAt DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), updatedAt DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3));
CREATE TABLE payments (
  id VARCHAR(191) PRIMARY KEY, userId VARCHAR(191) NOT NULL, stripePaymentId VARCHAR(191) NOT NULL UNIQUE,
  stripeSessionId VARCHAR(191) UNIQUE, amount INT NOT NULL, currency VARCHAR(191) NOT NULL DEFAULT 'usd',
  status ENUM('PENDING', 'SUCCESS', 'FAILED', 'REFUNDED') NOT NULL, creditsPurchased INT NOT NULL, metadata JSON,
  createdAt DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), updatedAt DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3));
CREATE TABLE usage_logs (
  id VARCHAR(191) PRIMARY KEY, userId VARCHAR(191) NOT NULL, feature VARCHAR(191) NOT NULL, model VARCHAR(191),
  credits INT NOT NULL, duration INT, success BOOLEAN NOT NULL DEFAULT true, errorMsg TEXT, metadata JSON,
  createdAt DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3));
CREATE TABLE credit_packages (
  id VARCHAR(191) PRIMARY KEY, name VARCHAR(191) NOT NULL, credits INT NOT NULL, price INT NOT NULL,
  currency VARCHAR(191) NOT NULL DEFAULT 'usd', stripePriceId VARCHAR(191) UNIQUE, isActive BOOLEAN NOT NULL DEFAULT true,
  displayOrder INT NOT NULL DEFAULT 0, createdAt DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  updatedAt DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3));`;

const BUYER = "buyer@example.com";

/** Users of every kind: never bought, spent into their purchases, refunded, in debt, without Google. */
const PEOPLE = `
INSERT INTO users (id, googleId, email, name, credits) VALUES
  ('fresh', '101', 'Fresh@Example.com', 'Fresh', 100),
  ('buyer', '${subFor(BUYER)}', '${BUYER}', 'Buyer', 620),
  ('spender', '103', 'spender@example.com', 'Spender', 130),
  ('empty', '104', 'empty@example.com', 'Empty', 0),
  ('refunded', '105', 'refunded@example.com', 'Refunded', 40),
  ('debtor', '106', 'debtor@example.com', 'Debtor', -25),
  ('manual', NULL, 'manual@example.com', 'No Google', 7);
INSERT INTO payments (id, userId, stripePaymentId, stripeSessionId, amount, status, creditsPurchased, createdAt) VALUES
  ('p1', 'buyer', 'pi_1', 'cs_1', 2000, 'SUCCESS', 500, '2025-01-01'),
  ('p2', 'spender', 'pi_2', 'cs_2', 500, 'SUCCESS', 100, '2025-01-01'),
  ('p3', 'spender', 'pi_3', 'cs_3', 500, 'SUCCESS', 100, '2025-02-01'),
  ('p4', 'spender', 'pi_4', NULL, 0, 'SUCCESS', 0, '2025-02-02'),
  ('p5', 'empty', 'pi_5', 'cs_5', 500, 'SUCCESS', 100, '2025-01-01'),
  ('p6', 'refunded', 'pi_6', 'cs_6', 500, 'REFUNDED', 100, '2025-01-01'),
  ('p7', 'refunded', 'pi_7', 'cs_7', 500, 'FAILED', 100, '2025-01-02'),
  ('p8', 'debtor', 'pi_8', 'cs_8', 500, 'SUCCESS', 100, '2025-01-01');
INSERT INTO usage_logs (id, userId, feature, model, credits, duration, createdAt) VALUES
  ('u1', 'spender', 'chat', 'gemini-flash', 1, 900, '2025-01-02'),
  ('u2', 'spender', 'chat', 'gemini-pro', 5, NULL, '2025-01-03'),
  ('u3', 'spender', 'ppt_generate', NULL, 10, 20000, '2025-01-04');
INSERT INTO credit_packages (id, name, credits, price, displayOrder) VALUES ('old', 'Starter', 200, 900, 4);`;

const { databases } = await availableServers();

describe.each(databases)("the move from the ancestor on $name", ({ name, url }) => {
  const ancestor = `skywork_test_ancestor_${randomBytes(6).toString("hex")}`;
  let server: TestApp;
  beforeAll(async () => {
    server = await openTestApp({ available: describeBackend(name, url, null) });
  });
  afterAll(async () => {
    await server.close();
    await withMysql(url, `DROP DATABASE IF EXISTS ${ancestor}`);
  });

  it("brings people, money and balances, and the doctor is content", async () => {
    const target = new URL(server.opened.config.database.url).pathname.slice(1);
    const issuer = server.config.google.issuer;
    const [, sql = ""] = /```sql\n([\s\S]*?)```/.exec(await readFile(GUIDE, "utf8")) ?? [];
    const guide = sql
      .replaceAll("ancestor.", `${ancestor}.`)
      .replaceAll("skywork.", `${target}.`)
      .replaceAll("https://accounts.google.com", issuer);
    const connection = await connectMysql(url, { multipleStatements: true });
    await connection.query(`CREATE DATABASE ${ancestor}; USE ${ancestor}; ${ANCESTOR} ${PEOPLE}`);
    await connection.query(guide);
    await connection.end();

    const { database } = server.opened.backend;
    expect(await auditWholeLedger({ database })).toEqual([]);
    const { models } = database;
    const users = await models.user.findMany({ select: { id: true, credits: true } });
    expect(Object.fromEntries(users.map(({ id, credits }) => [id, credits]))).toEqual({
      fresh: 100,
      buyer: 620,
      spender: 130,
      empty: 0,
      refunded: 40,
      debtor: -25,
      manual: 7,
    });
    const lots = await models.creditGrant.findMany({ where: { userId: "spender" } });
    const left = new Map(lots.map((lot) => [lot.sourceId, lot.remaining]));
    expect(left).toEqual(
      new Map([
        ["p2", 30],
        ["p3", 100],
      ]),
    );
    const usage = await models.usageLog.findMany({ orderBy: { createdAt: "asc" } });
    expect(usage.map(({ feature }) => feature)).toEqual(["chat-flash", "chat-pro", "ppt-generate"]);
    const onSale = { where: { isActive: true }, select: { id: true } };
    expect(await models.creditPackage.findMany(onSale)).toEqual([{ id: "old" }]);
    expect(await models.plan.findMany(onSale)).toEqual([]);

    const person = await server.signIn(BUYER);
    expect(person.userId).toBe("buyer");
    const client = server.client(person.accessToken);
    const spent = await client.credit.spend.mutate({
      feature: "chat-pro",
      idempotencyKey: "moved",
    });
    expect(spent.balance).toBe(615);
    expect((await client.payment.history.query()).payments).toHaveLength(1);
    expect(await auditWholeLedger({ database })).toEqual([]);
  });
});
