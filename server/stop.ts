// The graceful stop, step by step; docs/decisions/0022-graceful-stop.md says why these steps.
import type { App } from "./app.ts";
import type { HttpServer } from "./http/server.ts";
import type { Logger } from "./lib/logger.ts";

/** A stop that takes longer is cut short: the promise is 10 s from when no new connections are sent here. */
const STOP_LIMIT_MS = 9_500;

/** What is stopped. */
export interface Stoppable {
  readonly app: Pick<App, "beginShutdown" | "endStreams" | "close">;
  readonly server: Pick<HttpServer, "beginDrain" | "stop">;
  readonly logger: Logger;
  /** How long new connections may still arrive, because the load balancer has to notice first. */
  readonly shutdownDelayMs: number;
  /** Where servers that share the port wait for one another. */
  readonly meet?: Parameters<HttpServer["stop"]>[0];
  /** Closes what the app depends on. */
  readonly closeRest: () => Promise<void>;
  /** Ends the process. */
  readonly end: (exitCode: number) => void;
}

/** Drains, closes everything and ends the process, within 10 s after `shutdownDelayMs`. */
export async function stopInOrder(running: Stoppable): Promise<void> {
  const { app, server, logger, shutdownDelayMs, meet, closeRest, end } = running;
  setTimeout(() => {
    logger.error("graceful stop timed out; remaining connections are closed");
    end(1);
  }, shutdownDelayMs + STOP_LIMIT_MS).unref();
  app.beginShutdown();
  server.beginDrain();
  await new Promise((resolve) => setTimeout(resolve, shutdownDelayMs));
  app.endStreams();
  await server.stop(meet);
  await app.close();
  await closeRest();
  logger.info("stopped");
  end(0);
}
