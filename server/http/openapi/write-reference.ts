// Writes the REST API reference into docs/reference/api.md: `npm run api:write`.
import { readFileSync, writeFileSync } from "node:fs";
import { apiReference } from "./reference.ts";

const page = new URL("../../../docs/reference/api.md", import.meta.url);

writeFileSync(
  page,
  readFileSync(page, "utf8").replace(
    /(<!-- api -->\n)[\s\S]*(\n<!-- \/api -->)/,
    (_, before: string, after: string) => `${before}${apiReference()}${after}`,
  ),
);
