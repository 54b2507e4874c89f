// The output of `npm run dev`: prefixed lines, the server's JSON log made readable, and the list of addresses.
import { styleText } from "node:util";
import { prettyFactory } from "pino-pretty";
import { z } from "zod";
import { jsonOrUndefined } from "../../lib/json.ts";
import type { ChildEnd } from "./child.ts";
import type { DevelopmentPlan } from "./environment.ts";

type Colour = "cyan" | "magenta" | "yellow" | "red" | "green" | "dim" | "bold";

/** Returns `text` in colour on a terminal, plain in a file or a pipe. */
export function colorize(colour: Colour, text: string): string {
  return process.stdout.isTTY ? styleText(colour, text) : text;
}

const requestLine = z.object({
  method: z.string(),
  path: z.string(),
  status: z.number(),
  durationMs: z.number(),
  code: z.string().optional(),
});

const pretty = prettyFactory({
  colorize: process.stdout.isTTY,
  singleLine: true,
  translateTime: "SYS:HH:MM:ss",
  ignore: "pid,hostname,requestId,method,path,procedure,status,code,durationMs",
  messageFormat: (log, messageKey) => {
    const request = requestLine.safeParse(log);
    const message = log[messageKey];
    if (!request.success) return typeof message === "string" ? message : "";
    const { method, path, status, durationMs, code = "" } = request.data;
    return `${method} ${path} ${status} ${Math.round(durationMs)} ms ${code}`.trimEnd();
  },
});

const jobRun = z.object({ msg: z.literal("job run"), outcome: z.literal("ok") });

/**
 * Returns a readable form of a line of the server's log, and other lines as they are. Null for a job that succeeded:
 * there are several a minute, and nothing to do about them.
 */
export function readable(line: string): string | null {
  if (!line.startsWith("{")) return line.trimEnd();
  return jobRun.safeParse(jsonOrUndefined(line)).success ? null : pretty(line).trimEnd();
}

/** Writes one line of a part, made readable when it is a log line. */
export function print(part: "api" | "web" | "sandbox", line: string): void {
  const colours = { api: "cyan", web: "magenta", sandbox: "yellow" } as const;
  const text = readable(line);
  if (text === null) return;
  for (const row of text.split("\n"))
    process.stdout.write(`${colorize(colours[part], part.padEnd(7))} ${row}\n`);
}

/** Returns how a part ended, to follow its name: only an exit code other than 0 is a crash. */
export function endInWords({ code, signal }: ChildEnd): string {
  if (signal !== null) return `was ended by ${signal}`;
  return code === 0
    ? "ended by itself, without an error"
    : `crashed with exit code ${code}; its last lines say why`;
}

/** Writes a problem and what to do about it. */
export function complain(text: string): void {
  process.stderr.write(`${colorize("red", "✗")} ${text}\n`);
}

/** Returns the list of addresses, to be written once everything responds. */
export function welcomeText(
  found: DevelopmentPlan,
  seconds: number,
  addresses: { google?: string; stripe?: string },
): string {
  const { environment } = found;
  const database = environment["DATABASE_URL"] ?? "file:./.data/skywork.db";
  const redis = environment["REDIS_URL"] ?? environment["REDIS_HOST"];
  const rows: [string, string, string][] = [
    [
      "Frontend",
      found.frontendUrl,
      found.webPort === null ? "yours, started by you" : "sign in here",
    ],
    ["API", `${found.apiUrl}/api/trpc`, ""],
    ["API docs", `${found.apiUrl}/api/docs`, ""],
    ["Health", `${found.apiUrl}/health`, "and /ready"],
    addresses.google === undefined
      ? [
          "Google",
          environment["GOOGLE_ISSUER"] ?? "https://accounts.google.com",
          "real, from your settings",
        ]
      : [
          "Google",
          addresses.google,
          "sandbox: any address signs in; admin@example.com is an administrator",
        ],
    addresses.stripe === undefined
      ? [
          "Stripe",
          environment["STRIPE_API_BASE"] ?? "https://api.stripe.com",
          "real, from your settings",
        ]
      : ["Stripe", addresses.stripe, "sandbox: payments, clock, refunds, disputes, events"],
    [
      "Database",
      database.replace(/\/\/[^@/]*@/, "//…@"),
      database.startsWith("file:") ? "embedded SQLite" : "",
    ],
    [
      "Redis",
      redis?.replace(/\/\/[^@/]*@/, "//…@") ?? "none",
      redis === undefined ? "everything in this process" : "",
    ],
  ];
  const width = Math.max(...rows.map(([, address]) => address.length)) + 2;
  const list = rows.map(
    ([name, address, note]) =>
      `  ${colorize("dim", name.padEnd(10))}${colorize("cyan", address.padEnd(width))}${colorize("dim", note)}`,
  );
  const hints = [
    ...(addresses.stripe === undefined
      ? [`Webhooks from real Stripe: stripe listen --forward-to ${found.webhookUrl}`]
      : [
          "On the payment page: Visa 4242 pays, 0002 is declined, bank debit settles later; code FREE100 is free.",
        ]),
    "Ctrl-C stops everything; what you did is kept in .data/.",
  ];
  return [
    "",
    `  ${colorize("bold", "Skywork is ready")} ${colorize("dim", `in ${seconds.toFixed(1)} s`)}`,
    "",
    ...list,
    "",
    ...hints.map((hint) => `  ${colorize("dim", hint)}`),
    "",
    "",
  ].join("\n");
}
