// The environment variables of the process itself.
import { z } from "zod";
import { integer } from "../fields.ts";
import { defineGroup } from "../variable.ts";

export const PROCESS = defineGroup("Process", {
  NODE_ENV: {
    schema: z.enum(["development", "production", "test"], {
      error: "must be development, test or production",
    }),
    default: "development",
    description: "development, test or production. Production refuses anything missing or weak.",
  },
  PORT: {
    schema: integer(0, 65_535),
    default: "5000",
    description: "Port the API listens on; 0 = any free one.",
  },
  HOST: {
    schema: z.string().max(255),
    default: "0.0.0.0",
    description: "Address the API listens on.",
  },
  WORKERS: {
    schema: integer(1, 128),
    default: "1",
    description:
      "Server processes on the one port, about as many as there are cores; more than 1 needs Redis, and MySQL or MariaDB.",
  },
  LOG_LEVEL: {
    schema: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"], {
      error: "must be fatal, error, warn, info, debug, trace or silent",
    }),
    default: "info",
    description: "fatal, error, warn, info, debug, trace or silent.",
  },
  SHUTDOWN_DELAY_MS: {
    schema: integer(0, 5_000),
    default: "0",
    description:
      "How long to go on accepting after SIGTERM with /ready already false, for a load balancer to notice; at most 5000. The 10 s of the stop begin after it.",
  },
});
