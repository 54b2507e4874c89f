// Parsers for the addresses of the database and of Redis.
import { z } from "zod";
import { isDecodable } from "../lib/text.ts";
import type { Config, RedisConfig } from "./config.ts";

/** The address of a database: file:, mysql:// or mariadb://. */
export const databaseUrl = z.string().transform((text, ctx): Config["database"] => {
  if (/^file:./.test(text)) return { kind: "sqlite", url: text };
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  const known = scheme === "mysql" || scheme === "mariadb";
  if (known && URL.canParse(text)) {
    const address = new URL(text);
    if (address.hostname !== "" && /^\/[^/]+$/.test(address.pathname))
      return { kind: "mysql", url: text };
  }
  ctx.addIssue(
    known || scheme === undefined || scheme === "file"
      ? "must be mysql://USER:PASSWORD@HOST:3306/DATABASE or file:/path/to/file.db (write special characters of a password percent-encoded)"
      : `is for "${scheme}", which is not supported: use mysql://, mariadb:// or file:`,
  );
  return z.NEVER;
});

/** The address of one Redis server: redis:// or rediss://. */
export const redisUrl = z.string().transform((text, ctx): RedisConfig => {
  const address = URL.canParse(text) ? new URL(text) : null;
  const database = Number(address?.pathname.slice(1) || "0");
  const isRedis = address?.protocol === "redis:" || address?.protocol === "rediss:";
  if (
    !address ||
    !isRedis ||
    !address.hostname ||
    !Number.isInteger(database) ||
    !isDecodable(text)
  ) {
    ctx.addIssue("must be redis://[:PASSWORD@]HOST:6379[/0] (rediss:// for TLS)");
    return z.NEVER;
  }
  return {
    kind: "single",
    host: address.hostname.replace(/^\[|\]$/g, ""),
    port: Number(address.port || "6379"),
    tls: address.protocol === "rediss:",
    db: database,
    ...(address.username === "" ? {} : { username: decodeURIComponent(address.username) }),
    ...(address.password === "" ? {} : { password: decodeURIComponent(address.password) }),
  };
});
