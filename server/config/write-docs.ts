// Writes what the definitions of the variables say into `.env.example` and the README: `npm run env:write`.
import { readFileSync, writeFileSync } from "node:fs";
import { exampleFile, readmeTable } from "./docs.ts";

const root = new URL("../../", import.meta.url);
const readme = new URL("README.md", root);

writeFileSync(new URL(".env.example", root), exampleFile());
writeFileSync(
  readme,
  readFileSync(readme, "utf8").replace(
    /(<!-- environment -->\n)[\s\S]*(\n<!-- \/environment -->)/,
    (_, before: string, after: string) => `${before}${readmeTable()}${after}`,
  ),
);
