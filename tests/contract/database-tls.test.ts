// TLS to the database: what ssl=, sslca= and DATABASE_SSL_CA accept and refuse, and the error messages.
import { randomBytes } from "node:crypto";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBackend } from "../../server/infrastructure.ts";
import { type Authority, createAuthority, opensslMissing } from "../support/certificates.ts";
import { availableServers } from "../support/servers.ts";
import { connectMysql, withMysql } from "../support/mysql-databases.ts";
import { freePort } from "../support/ports.ts";
import { debianMariadb, engineMissing } from "../support/engines/programs.ts";
import { createSqlServer, type SqlServer } from "../support/engines/sql-server.ts";
import { silent as logger } from "../support/silent.ts";

const PASSWORD = "geheim-1";
const UNTRUSTED = /signed by no CA known here.*sslca=.*DATABASE_SSL_CA/s;
const NOT_SIGNED = /not signed by the CA that sslca/;
const OTHER_HOST = /is for another host than 127\.0\.0\.1.*ssl=verify-ca/s;
const TLS_ONLY = /over TLS only\. Add \?ssl=verify.*sslca=.*DATABASE_SSL_CA/s;

/** A database on a server, with a user that may only connect over TLS. */
interface Subject {
  /** The URL for that user; `query` is what follows the question mark. */
  url(query?: string, host?: string): string;
  drop(): Promise<void>;
}

async function createSubject(serverUrl: string): Promise<Subject> {
  const name = `skywork_test_${randomBytes(6).toString("hex")}`;
  const user = `'${name.slice(0, 25)}'@'%'`;
  await withMysql(serverUrl, `CREATE DATABASE ${name}`);
  await withMysql(serverUrl, `CREATE USER ${user} IDENTIFIED BY '${PASSWORD}' REQUIRE SSL`);
  await withMysql(serverUrl, `GRANT ALL ON ${name}.* TO ${user}`);
  return {
    url(query = "", host = "127.0.0.1") {
      const url = new URL(serverUrl);
      url.hostname = host;
      url.username = name.slice(0, 25);
      url.password = PASSWORD;
      url.pathname = `/${name}`;
      return `${url.href}?${query}`;
    },
    async drop() {
      await withMysql(serverUrl, `DROP USER ${user}`);
      await withMysql(serverUrl, `DROP DATABASE ${name}`);
    },
  };
}

/** Opens, asks which cipher the raw lane and Prisma's lane use, and closes. Rejects as opening does. */
async function ciphers(url: string, sslCa?: string): Promise<string[]> {
  const backend = await openBackend({
    logger,
    config: {
      environment: "production",
      redis: null,
      database: { kind: "mysql", url, ...(sslCa === undefined ? {} : { sslCa }) },
    },
  });
  const sql = "SHOW STATUS LIKE 'Ssl_cipher'";
  try {
    const raw = await backend.database.rawTransaction((session) =>
      session.query<{ Value: string }>(sql, []),
    );
    const byPrisma = await backend.database.models.$queryRawUnsafe<{ Value: string }[]>(sql);
    return [...raw, ...byPrisma].map((row) => row.Value);
  } finally {
    await backend.close();
  }
}

async function refusal(url: string, sslCa?: string): Promise<string> {
  const error = await ciphers(url, sslCa).then(
    () => new Error("it was let in"),
    (reason: unknown) => reason,
  );
  // A plain Error: main.ts prints only its message; for any other kind it prints the stack.
  expect(Object.getPrototypeOf(error)).toBe(Error.prototype);
  const { message } = error as Error;
  expect(message).not.toContain(PASSWORD);
  return message;
}

const ENCRYPTED = [expect.stringMatching(/./), expect.stringMatching(/./)];

describe.skipIf(engineMissing("mariadb") !== null || opensslMissing !== null)(
  "TLS to MariaDB with a certificate of one's own CA",
  () => {
    let authority: Authority;
    let stranger: Authority;
    let server: SqlServer;
    let subject: Subject;

    beforeAll(async () => {
      authority = createAuthority();
      stranger = createAuthority();
      authority.issue("DNS:localhost");
      server = await createSqlServer({
        program: debianMariadb(),
        port: await freePort(),
        withTables: true,
        settings: {
          "ssl-ca": authority.caFile,
          "ssl-cert": authority.certificateFile,
          "ssl-key": authority.keyFile,
        },
      });
      await server.start();
      subject = await createSubject(server.url);
    });
    afterAll(async () => {
      await server?.close();
      authority?.remove();
      stranger?.remove();
    });

    test("verify accepts the named CA's certificate for its own host name, and refuses another", async () => {
      const query = `ssl=verify&sslca=${authority.caFile}`;
      expect(await ciphers(subject.url(query, "localhost"))).toEqual(ENCRYPTED);
      expect(await refusal(subject.url(query))).toMatch(OTHER_HOST);
    });

    test("verify: an address counts where the certificate has it", async () => {
      authority.issue("IP:127.0.0.1");
      await server.query("FLUSH SSL");
      const query = `ssl=verify&sslca=${authority.caFile}`;
      expect(await ciphers(subject.url(query))).toEqual(ENCRYPTED);
      expect(await refusal(subject.url(query, "localhost"))).toMatch(/another host than localhost/);
      authority.issue("DNS:localhost");
      await server.query("FLUSH SSL");
    });

    test.each(["ssl=true", "sslmode=VERIFY_IDENTITY", "ssl-mode=required", ""])(
      "DATABASE_SSL_CA with %o checks as verify does",
      async (query) => {
        const pem = authority.caPem.replaceAll("\n", "\\n");
        expect(await ciphers(subject.url(query, "localhost"), pem)).toEqual(ENCRYPTED);
        expect(await refusal(subject.url(query), authority.caPem)).toMatch(OTHER_HOST);
        expect(await refusal(subject.url(query, "localhost"), stranger.caPem)).toMatch(NOT_SIGNED);
      },
    );

    test("verify-ca accepts the named CA's certificate for any host name, and refuses another CA's", async () => {
      expect(await ciphers(subject.url(`ssl=verify-ca&sslca=${authority.caFile}`))).toEqual(
        ENCRYPTED,
      );
      expect(await refusal(subject.url(`ssl=verify-ca&sslca=${stranger.caFile}`))).toMatch(
        NOT_SIGNED,
      );
    });

    test("verify without a CA: one's own is not trusted by itself, and the sentence says how to name it", async () => {
      for (const word of ["true", "verify", "strict"])
        expect(await refusal(subject.url(`ssl=${word}`, "localhost"))).toMatch(UNTRUSTED);
    });

    test("no-verify encrypts, whoever answers", async () => {
      expect(await ciphers(subject.url("ssl=no-verify"))).toEqual(ENCRYPTED);
    });

    test("a user who must use TLS is told so, not to check the password", async () => {
      const said = await refusal(subject.url());
      expect(said).toMatch(TLS_ONLY);
      expect(said).not.toMatch(/[Cc]heck the user and the password/);
    });

    test("a server without TLS says so", async () => {
      const plain = await createSqlServer({
        program: debianMariadb(),
        port: await freePort(),
        withTables: true,
        settings: { ssl: "OFF" },
      });
      await plain.start();
      await plain.query("CREATE DATABASE plain");
      expect(await refusal(`${plain.url}plain?ssl=no-verify`)).toMatch(/offers no TLS/);
      await plain.close();
    });

    test("a server that takes nothing but TLS says so", async () => {
      await server.query("SET GLOBAL require_secure_transport = ON");
      expect(await refusal(`${server.url}mysql`)).toMatch(TLS_ONLY);
      await server.query("SET GLOBAL require_secure_transport = OFF");
    });
  },
);

const { databases } = await availableServers();
const mysql = databases.find(({ engine }) => engine === "mysql")?.url;
const ownCa = mysql === undefined ? null : await certificateOf(mysql);

/** Returns the CA that MySQL generated; null if its data directory cannot be read. */
async function certificateOf(serverUrl: string): Promise<string | null> {
  const connection = await connectMysql(serverUrl);
  const [row]: { folder: string }[] = await connection.query("SELECT @@datadir AS folder");
  await connection.end();
  const file = join(row?.folder ?? "", "ca.pem");
  return access(file).then(
    () => file,
    () => null,
  );
}

describe.runIf(ownCa !== null)("TLS to MySQL with the certificates it makes itself", () => {
  let subject: Subject;
  beforeAll(async () => {
    subject = await createSubject(mysql ?? "");
  });
  afterAll(() => subject?.drop());

  test("verify-ca accepts its ca.pem; verify refuses, since its certificates name no host", async () => {
    expect(await ciphers(subject.url(`ssl=verify-ca&sslca=${ownCa}`))).toEqual(ENCRYPTED);
    expect(await refusal(subject.url(`ssl=verify&sslca=${ownCa}`))).toMatch(OTHER_HOST);
  });

  test("another CA, or none, is refused with what to write", async () => {
    expect(await refusal(subject.url("ssl=true"))).toMatch(UNTRUSTED);
    const stranger = createAuthority();
    expect(await refusal(subject.url(`ssl=verify-ca&sslca=${stranger.caFile}`))).toMatch(
      NOT_SIGNED,
    );
    stranger.remove();
  });

  test("no-verify encrypts, whoever answers", async () => {
    expect(await ciphers(subject.url("ssl=no-verify"))).toEqual(ENCRYPTED);
  });

  test("a user who must use TLS is told so; a wrong password is still a wrong password", async () => {
    expect(await refusal(subject.url())).toMatch(TLS_ONLY);
    const wrong = subject.url().replace(PASSWORD, "another");
    expect(await refusal(wrong)).toMatch(/Check the user and the password/);
  });
});

describe("what TLS in DATABASE_URL cannot mean is refused", () => {
  const url = (query: string) => `mysql://root:${PASSWORD}@127.0.0.1:1/x?${query}`;
  test.each([
    ["ssl=perhaps", undefined, /has to be verify/],
    ["ssl=preferred", undefined, /has to be verify/],
    ["ssl=verify-ca", undefined, /needs the CA/],
    ["sslca=/nowhere/ca.pem", undefined, /cannot be read.*nowhere/s],
    [`sslca=${import.meta.filename}`, undefined, /no certificate in PEM form/],
    [`ssl=false&sslca=${import.meta.filename}`, undefined, /ssl=false does not look at/],
    ["ssl=verify", "-----BEGIN NOTHING-----", /DATABASE_SSL_CA holds no certificate/],
  ])("refuses %s and says why", async (query, pem, sentence) => {
    expect(await refusal(url(query), pem)).toMatch(sentence);
  });
});
