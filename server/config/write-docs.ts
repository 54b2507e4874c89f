// Writes `.env.example` and docs/reference/environment.md from the variables' definitions: `npm run env:write`.
import { readFileSync, writeFileSync } from "node:fs";
import { exampleFile, environmentTable } from "./docs.ts";

const root = new URL("../../", import.meta.url);
const page = new URL("docs/reference/environment.md", root);

writeFileSync(new URL(".env.example", root), exampleFile());
writeFileSync(
  page,
  readFileSync(page, "utf8").replace(
    /(<!-- environment -->\n)[\s\S]*(\n<!-- \/environment -->)/,
    (_, before: string, after: string) => `${before}${environmentTable()}${after}`,
  ),
);
