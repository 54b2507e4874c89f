// A copy of the repository as somebody has it who cloned it and ran `npm install`.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Links every package, but our own, which must be the copy's. */
function linkPackages(copy: string): void {
  const packages = join(copy, "node_modules");
  mkdirSync(join(packages, "@skywork"), { recursive: true });
  for (const name of readdirSync(join(ROOT, "node_modules")))
    if (name !== "@skywork" && !name.startsWith(".vite"))
      symlinkSync(join(ROOT, "node_modules", name), join(packages, name));
  symlinkSync(join(copy, "shared"), join(packages, "@skywork/shared"));
}

/** Returns the copy's folder. Remove it at the end. */
export function copyRepository(): string {
  const copy = mkdtempSync(join(tmpdir(), "skywork-copy-"));
  // With new files that are not committed yet, without those that are ignored.
  const list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const files = execFileSync("git", list, { cwd: ROOT, encoding: "utf8" }).split("\0");
  for (const file of files)
    if (file !== "" && existsSync(join(ROOT, file))) cpSync(join(ROOT, file), join(copy, file));
  cpSync(join(ROOT, "prisma/generated"), join(copy, "prisma/generated"), { recursive: true });
  linkPackages(copy);
  return copy;
}
