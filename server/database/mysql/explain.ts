// Plain sentences for the operator when MySQL or MariaDB cannot be used.
import { createConnection } from "mariadb";
import { classifyDatabaseError } from "../errors.ts";
import { createDatabaseSql, type MysqlTarget } from "./options.ts";

const TLS_REQUIRED = new Set([3159, 4151]);
/**
 * The driver's own numbers: the server has no TLS; its certificate is self-signed (in several ways), or another host's.
 */
const NO_TLS_THERE = 45023;
const UNTRUSTED_NUMBERS = new Set([45056, 45057, 45062, 45063]);
const OTHER_HOST = 45059;
const UNTRUSTED_CODES = new Set([
  ..."SELF_SIGNED_CERT_IN_CHAIN DEPTH_ZERO_SELF_SIGNED_CERT CERT_SIGNATURE_FAILURE".split(" "),
  ..."UNABLE_TO_VERIFY_LEAF_SIGNATURE UNABLE_TO_GET_ISSUER_CERT CERT_UNTRUSTED".split(" "),
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
]);

type Trouble = "refused" | "rights" | "missing" | "full";

/** Server error numbers that have a single cause each. */
const TROUBLES = new Map<number, Trouble>([
  [1045, "refused"],
  [1698, "refused"],
  [1044, "rights"],
  [1142, "rights"],
  [1049, "missing"],
  [1040, "full"],
  [1203, "full"],
  [1226, "full"],
]);

const SUMMARIES: Readonly<Record<Trouble, string>> = {
  refused: "The database refuses our user with this password.",
  rights: "The database gives our user too few rights.",
  missing: "The database server has no such database.",
  full: "The database server has no connection left.",
};

/** Returns an Error with a sentence for the operator about a database that could not be opened. */
export function explainMysqlError(target: MysqlTarget, error: unknown): Error {
  const where = `The database at ${target.label} cannot be used`;
  const reason = explainTls(target, error) ?? explainNumber(target, error);
  const sentence =
    reason ??
    `${rootMessage(error)}. Check that the server runs there, and the host, port and ssl= in DATABASE_URL.`;
  return new Error(`${where}: ${sentence}`, { cause: error });
}

/** Whether a database that failed this way may respond a moment later without anyone changing a setting. */
export function isTransient(target: MysqlTarget, error: unknown): boolean {
  if (TLS_REQUIRED.has(rootErrno(error)) || explainTls(target, error) !== undefined) return false;
  const trouble = TROUBLES.get(rootErrno(error));
  return (trouble === undefined || trouble === "full") && classifyDatabaseError(error) === "away";
}

/** The same for /ready, which anyone may read: names no host, user or statement. */
export function summarizeMysqlError(error: unknown): string {
  const trouble = TROUBLES.get(rootErrno(error));
  if (trouble !== undefined) return SUMMARIES[trouble];
  const code = rootCode(error);
  return `The database does not answer${code === "" ? "" : ` (${code})`}.`;
}

/**
 * Like explainMysqlError, for a connection that was just refused. MySQL refuses a user that must use TLS with the same
 * error as a wrong password, so we try once more, with TLS. That exposes nothing new: without TLS the driver hands the
 * password to any server that asks for it (allowPublicKeyRetrieval).
 */
export async function explainRefusal(target: MysqlTarget, error: unknown): Promise<Error> {
  const { connection, tls } = target;
  const mayBeTls = rootErrno(error) === 1045 && tls.mode === "off";
  if (!mayBeTls || connection.socketPath !== undefined) return explainMysqlError(target, error);
  try {
    const probe = await createConnection({ ...connection, ssl: { rejectUnauthorized: false } });
    probe.on("error", () => {});
    await probe.end();
  } catch {
    return explainMysqlError(target, error);
  }
  return new Error(`The database at ${target.label} cannot be used: ${tlsRequired(target)}`, {
    cause: error,
  });
}

/**
 * Like explainMysqlError, for a migration that failed with an error of the driver. An error that explains itself is
 * returned unchanged.
 */
export function explainMigrationError(target: MysqlTarget, error: unknown): Error {
  if (error instanceof Error && error.constructor === Error) return error;
  const reason =
    explainNumber(target, error) ??
    `${rootMessage(error)}. What was applied before is remembered: mend the cause and start again.`;
  return new Error(`The database at ${target.label} cannot be migrated: ${reason}`, {
    cause: error,
  });
}

function tlsRequired({ connection }: MysqlTarget): string {
  return `it lets ${connection.user === undefined ? "this user" : `the user "${connection.user}"`} in over TLS only. Add ?ssl=verify to DATABASE_URL, with sslca=/path/to/ca.pem (or the PEM in DATABASE_SSL_CA) where the CA is not a public one; ssl=verify-ca where the certificate names no host, as MySQL's own do.`;
}

function explainTls({ connection, tls }: MysqlTarget, error: unknown): string | undefined {
  const number = rootErrno(error);
  const code = rootCode(error);
  if (number === NO_TLS_THERE) {
    return "it offers no TLS, which ssl= in DATABASE_URL asks for. Give the server a certificate, or write ssl=false.";
  }
  if (number === OTHER_HOST || code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `its TLS certificate is for another host than ${connection.host ?? "localhost"} (${rootMessage(error)}). Write the host name of the certificate into DATABASE_URL; for a certificate that names no host, as those MySQL makes itself, check the CA alone: ssl=verify-ca with sslca=/path/to/ca.pem.`;
  }
  if (UNTRUSTED_NUMBERS.has(number) || UNTRUSTED_CODES.has(code)) {
    return tls.namesCa
      ? "its TLS certificate is not signed by the CA that sslca in DATABASE_URL (or DATABASE_SSL_CA) names. Give the server's own CA (MySQL's is ca.pem in its data directory)."
      : "its TLS certificate is signed by no CA known here. Name the CA: sslca=/path/to/ca.pem in DATABASE_URL, or its PEM in DATABASE_SSL_CA (MySQL's own is ca.pem in its data directory and wants ssl=verify-ca, because its certificate names no host).";
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return `its TLS certificate ${code === "CERT_HAS_EXPIRED" ? "has expired" : "is not valid yet"}. Renew it, or set the clock right.`;
  }
  return undefined;
}

function explainNumber(target: MysqlTarget, error: unknown): string | undefined {
  const { database, connection } = target;
  const user = connection.user ?? "";
  const number = rootErrno(error);
  if (TLS_REQUIRED.has(number)) return tlsRequired(target);
  switch (TROUBLES.get(number)) {
    case "refused":
      return `it refuses the user "${user}" with this password. Check the user and the password in DATABASE_URL.`;
    case "rights":
      return `the user "${user}" lacks rights on it (${rootMessage(error)}). As an administrator: GRANT ALL ON \`${database}\`.* TO '${user}'@'%';`;
    case "missing":
      return `it does not exist. ${createDatabaseSql(database)}`;
    case "full":
      return "it has no connection left. Lower connection_limit in DATABASE_URL, or raise max_connections (max_user_connections for one user).";
    case undefined:
      return undefined;
  }
}

/** Returns the server's error number from the end of the chain of causes; 0 if there is none. */
export function rootErrno(error: unknown): number {
  let number = 0;
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ("errno" in at && typeof at.errno === "number") number = at.errno;
  }
  return number;
}

function rootCode(error: unknown): string {
  let code = "";
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string") code = at.code;
  }
  return code;
}

function rootMessage(error: unknown): string {
  let message = String(error);
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const first: unknown = at instanceof AggregateError ? at.errors[0] : undefined;
    message = first instanceof Error ? first.message : at.message;
  }
  // The connector prepends the connection's number and appends the statement after a newline.
  return (message.split("\n")[0] ?? message).replace(/^\(conn:[^)]*\)\s*/, "").replace(/\.$/, "");
}
