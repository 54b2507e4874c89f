// Renders the variables' definitions for people: `.env.example` and the table of docs/reference/environment.md.
import { GROUPS } from "./variables.ts";

/** Returns the text of `.env.example`. Every line is commented out: the defaults already hold. */
export function exampleFile(): string {
  const lines = [
    "# Copy to .env and uncomment what you change. Nothing is needed for development: an embedded database,",
    "# generated secrets and sandbox Google and Stripe are used. An empty value counts as unset.",
    "# Made by `npm run env:write`.",
  ];
  for (const { title, variables } of GROUPS) {
    lines.push("", `# --- ${title} ---`);
    for (const [name, variable] of Object.entries(variables)) {
      const flag = variable.required ? " Required in production." : "";
      lines.push(`# ${variable.description}${flag}`);
      lines.push(`#${name}=${variable.example ?? variable.default ?? ""}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** Returns the table of docs/reference/environment.md: one row per variable, a bold row per group. */
export function environmentTable(): string {
  const lines = ["| name | default | meaning |", "|---|---|---|"];
  for (const { title, variables } of GROUPS) {
    lines.push(`| **${title}** | | |`);
    for (const [name, variable] of Object.entries(variables)) {
      const value = variable.default === undefined ? "" : `\`${variable.default}\``;
      const mark = variable.required ? " *" : "";
      lines.push(`| \`${name}\`${mark} | ${value} | ${variable.description} |`);
    }
  }
  return lines.join("\n");
}
