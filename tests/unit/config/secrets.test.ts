// Development secrets are persistent: strong, private to the user, the same after a restart.
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadDevelopmentSecrets } from "../../../server/config/dev-secrets.ts";
import { findWeakness } from "../../../server/config/weak-secrets.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "skywork-secrets-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("makes secrets strong enough for production, once, and keeps them with mode 0600", () => {
  const directory = join(folder, "deeper", ".data");
  const made = loadDevelopmentSecrets(directory);
  expect(loadDevelopmentSecrets(directory)).toEqual(made);
  expect(statSync(join(directory, "secrets.json")).mode & 0o777).toBe(0o600);
  expect(findWeakness(made.JWT_SECRET)).toBeNull();
  expect(findWeakness(made.REFRESH_TOKEN_SECRET)).toBeNull();
  expect(made.JWT_SECRET).not.toBe(made.REFRESH_TOKEN_SECRET);
});

test("a damaged file is named, not replaced", () => {
  writeFileSync(join(folder, "secrets.json"), "{");
  expect(() => loadDevelopmentSecrets(folder)).toThrow(/secrets\.json is damaged; delete it/);
});
