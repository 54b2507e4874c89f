// The environment variables that say where the database and Redis are.
import { z } from "zod";
import { databaseUrl, redisUrl } from "../addresses.ts";
import { passwordOf, wholeText } from "../checks.ts";
import { certificates, endpoints, integer } from "../fields.ts";
import { defineGroup } from "../variable.ts";

export const BACKENDS = defineGroup(
  "Database and Redis (unset = embedded SQLite, everything else in this process)",
  {
    DATABASE_URL: {
      schema: databaseUrl,
      default: "file:./.data/skywork.db",
      description:
        "file: = SQLite; mysql:// or mariadb:// = MySQL 8 / MariaDB 10.6 or later. TLS: ?ssl=verify, verify-ca or no-verify, and sslca=FILE.",
      example: "mysql://skywork:PASSWORD@127.0.0.1:3306/skywork?connection_limit=10",
      required: true,
      howToGet:
        "set it to mysql://USER:PASSWORD@HOST:3306/DATABASE, or to file:/path/skywork.db for one machine",
      secrets: passwordOf,
    },
    DATABASE_SSL_CA: {
      schema: certificates.optional(),
      description:
        "PEM of the CA that signed the database's TLS certificate. Instead of sslca=FILE in DATABASE_URL.",
      example: "-----BEGIN CERTIFICATE-----\\nMIIB…\\n-----END CERTIFICATE-----",
    },
    REDIS_URL: {
      schema: redisUrl.optional(),
      description: "redis:// or rediss:// (TLS). Instead of REDIS_HOST.",
      example: "redis://:PASSWORD@127.0.0.1:6379/0",
      secrets: passwordOf,
    },
    REDIS_HOST: {
      schema: z.string().max(255).optional(),
      description: "Redis by host.",
      example: "127.0.0.1",
    },
    REDIS_PORT: {
      schema: integer(1, 65_535),
      default: "6379",
      description: "Port beside REDIS_HOST.",
    },
    REDIS_PASSWORD: {
      schema: z.string().optional(),
      description: "Password for REDIS_HOST, the Sentinel's master or the cluster.",
      example: "PASSWORD",
      secrets: wholeText,
    },
    REDIS_SENTINELS: {
      schema: endpoints(26_379).optional(),
      description: "host:port list; needs REDIS_SENTINEL_NAME.",
      example: "10.0.0.1:26379,10.0.0.2:26379",
    },
    REDIS_SENTINEL_NAME: {
      schema: z.string().optional(),
      description: "Name of the master the Sentinels watch.",
      example: "mymaster",
    },
    REDIS_CLUSTER_NODES: {
      schema: endpoints(6_379).optional(),
      description: "host:port list of some cluster nodes.",
      example: "10.0.0.1:7000,10.0.0.2:7000",
    },
  },
);
