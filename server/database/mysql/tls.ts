// The TLS part of DATABASE_URL: how the server's certificate is checked, and against which CA.
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, type ConnectionOptions } from "node:tls";
import type { ConnectionConfig } from "mariadb";
import { readCertificates } from "../../lib/pem.ts";

/**
 * - `off`: no TLS
 * - `no-verify`: encrypted, but the server's identity is not checked
 * - `verify-ca`: the certificate has to be signed by the named CA; its host name does not matter
 * - `verify`: signed by a trusted CA (the named one, else any on Node.js's own list), and for this host
 */
export type TlsMode = "off" | "no-verify" | "verify-ca" | "verify";

/** What DATABASE_URL and DATABASE_SSL_CA say about TLS. */
export interface MysqlTls {
  readonly mode: TlsMode;
  /** True when a CA is named; Node.js's own list is then not used. */
  readonly namesCa: boolean;
  /** For the driver; undefined when TLS is off. */
  readonly options: ConnectionConfig["ssl"];
}

// What MySQL, MariaDB, PostgreSQL and Prisma call the same four modes. Elsewhere `required` and the like encrypt
// without verifying; here they mean `verify`, because nothing weaker is ever assumed.
const WORDS: Readonly<Record<TlsMode, readonly string[]>> = {
  off: ["false", "0", "off", "no", "disable", "disabled"],
  "no-verify": ["no-verify", "skip-verify", "accept-invalid-certs"],
  "verify-ca": ["verify-ca"],
  verify: [
    ...["true", "1", "on", "yes", "verify", "strict", "require", "required"],
    ...["verify-full", "verify-identity"],
  ],
};

/** Reads ssl= and sslca= (and their aliases); `envCa` is DATABASE_SSL_CA. Throws a plain Error with a sentence. */
export function parseTls(params: URLSearchParams, host: string, envCa?: string): MysqlTls {
  const word = parameter(params, ["ssl", "sslmode", "sslaccept"]);
  const file = parameter(params, ["sslca", "sslrootcert"]);
  const named = file ?? (envCa?.trim() || undefined);
  const mode = word === undefined ? (named === undefined ? "off" : "verify") : modeOf(word);
  if (file !== undefined && (mode === "off" || mode === "no-verify")) {
    throw new Error(
      `DATABASE_URL names a CA (sslca) that ssl=${word} does not look at. Write ssl=verify, or ssl=verify-ca to leave the host name out, or drop sslca.`,
    );
  }
  const ca = file === undefined ? fromVariable(envCa) : fromFile(file);
  if (mode === "verify-ca" && ca === undefined) {
    throw new Error(
      "ssl=verify-ca in DATABASE_URL needs the CA: any public CA signs certificates for anybody. Add sslca=/path/to/ca.pem to DATABASE_URL, or put its PEM into DATABASE_SSL_CA.",
    );
  }
  return { mode, namesCa: ca !== undefined, options: optionsOf(mode, host, ca) };
}

/** Returns the value of the first parameter with one of these names, ignoring case, dashes and underscores. */
function parameter(params: URLSearchParams, names: readonly string[]): string | undefined {
  for (const [name, value] of params) {
    if (value !== "" && names.includes(name.toLowerCase().replaceAll(/[-_]/g, ""))) return value;
  }
  return undefined;
}

function modeOf(word: string): TlsMode {
  const plain = word.toLowerCase().replaceAll("_", "-");
  const modes = Object.keys(WORDS) as TlsMode[];
  const mode = modes.find((candidate) => WORDS[candidate].includes(plain));
  if (mode !== undefined) return mode;
  throw new Error(
    "ssl in DATABASE_URL has to be verify (or true: the certificate's CA and host name are checked), verify-ca (its CA alone, named by sslca=), no-verify, or false.",
  );
}

function fromFile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`The CA that sslca in DATABASE_URL names cannot be read: ${reason}.`, {
      cause: error,
    });
  }
  const certificates = readCertificates(text);
  if (certificates !== null) return certificates;
  throw new Error(
    `${path}, which sslca in DATABASE_URL names, holds no certificate in PEM form (-----BEGIN CERTIFICATE-----).`,
  );
}

function fromVariable(text: string | undefined): string | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  const certificates = readCertificates(text);
  if (certificates !== null) return certificates;
  throw new Error(
    "DATABASE_SSL_CA holds no certificate in PEM form (-----BEGIN CERTIFICATE-----). To name a file, write ?sslca=/path/to/ca.pem in DATABASE_URL.",
  );
}

function optionsOf(mode: TlsMode, host: string, ca?: string): ConnectionConfig["ssl"] {
  if (mode === "off") return undefined;
  if (mode === "no-verify") return { rejectUnauthorized: false };
  const options: ConnectionOptions = {
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    // Proxies in front of several databases route by it. An IP address is not a server name.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    // The driver does not pass the host to Node.js, which would compare an IP address's certificate with "localhost".
    checkServerIdentity: (_name, certificate) =>
      mode === "verify-ca" ? undefined : checkServerIdentity(host, certificate),
  };
  return options;
}
