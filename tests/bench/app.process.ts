// Owns the measured app: the real one on its real back end, under Redis keys of this run's own.
import { createApp } from "../../server/app.ts";
import { openBackend } from "../../server/infrastructure.ts";
import { parseConfig } from "../../server/config/parse-config.ts";
import { createHttpServer } from "../../server/http/server.ts";
import { createLogger } from "../../server/lib/logger.ts";
import { serve } from "./serve.ts";

const { PATH: _path, BENCH_KEY_PREFIX: keyPrefix = "skywork_bench", ...given } = process.env;
const config = parseConfig(given);
const logger = createLogger({ level: config.logLevel, batched: true });
const backend = await openBackend({ config, logger, keyPrefix });
const app = createApp({ config, backend, logger });
const server = createHttpServer(app.handle);
serve(await server.listen(0, "127.0.0.1"));
