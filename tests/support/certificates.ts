// Test certificates made with openssl: a private CA, and server certificates signed by it.
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Why certificates cannot be made on this machine; null if they can. */
export const opensslMissing =
  spawnSync("openssl", ["version"], { stdio: "ignore" }).error === undefined
    ? null
    : "openssl is not installed here";

/** A CA with the paths of its files. */
export type Authority = ReturnType<typeof createAuthority>;

/** Creates a CA in a temporary folder that other users (such as the database's) may read. */
export function createAuthority() {
  const folder = mkdtempSync(join(tmpdir(), "skywork-ca-"));
  chmodSync(folder, 0o755);
  const file = (name: string) => join(folder, name);
  const openssl = (...args: string[]) =>
    execFileSync("openssl", args, { cwd: folder, stdio: "ignore", timeout: 20_000 });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    ...["req", "-x509", ...newKey, "-days", "2", "-subj", "/CN=Skywork test CA"],
    ...["-keyout", "ca-key.pem", "-out", "ca.pem"],
  );
  return {
    caFile: file("ca.pem"),
    caPem: readFileSync(file("ca.pem"), "utf8"),
    certificateFile: file("server.pem"),
    keyFile: file("server-key.pem"),
    /** Issues a server certificate, replacing the last one. `names` as in openssl: `DNS:localhost`, `IP:127.0.0.1`. */
    issue(names: string) {
      writeFileSync(file("names"), `subjectAltName = ${names}\n`);
      openssl(
        ...["req", ...newKey, "-subj", "/CN=skywork-test-database"],
        ...["-keyout", "server-key.pem", "-out", "server.csr"],
      );
      openssl(
        ...["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem"],
        ...["-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem"],
      );
      for (const name of ["server.pem", "server-key.pem", "ca.pem"]) chmodSync(file(name), 0o644);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
