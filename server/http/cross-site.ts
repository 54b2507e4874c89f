// Refuses what a page of another site makes a browser send here, before it counts towards any limit.
import type { IncomingMessage } from "node:http";
import { AppError } from "../lib/errors.ts";
import { recordOf } from "./request-record.ts";

/** Throws FORBIDDEN for a request that a page of another site made a browser send. */
export type AssertSameSite = (request: IncomingMessage) => void;

/**
 * Creates the check. It runs before the request is counted, so that no page can use up its visitor's limits. It relies
 * on what browsers send: `Origin` with every POST and every CORS request (Fetch standard), `Sec-Fetch-Site` with the
 * rest, images and frames included. Requests with an Authorization header pass: no page can add one without a
 * preflight.
 */
export function createSameSiteCheck(deps: {
  frontendOrigins: readonly string[];
  clientAddress: (request: IncomingMessage) => string;
}): AssertSameSite {
  const own = new Set(deps.frontendOrigins);
  return (request) => {
    const { headers } = request;
    if (headers.authorization !== undefined) return;
    const { origin } = headers;
    const site = headers["sec-fetch-site"];
    const foreign =
      origin === undefined
        ? site === "cross-site" || site === "same-site"
        : !own.has(origin) && site !== "same-origin";
    if (!foreign) return;
    recordOf(request).notes.refusedIp = deps.clientAddress(request);
    throw refusal();
  };
}

/** Throws FORBIDDEN for a cross-site request unless it is a navigation: nobody signs in through an image or a frame. */
export function assertNavigation({ headers }: IncomingMessage): void {
  const site = headers["sec-fetch-site"];
  if (site !== "cross-site" && site !== "same-site") return;
  if (headers["sec-fetch-mode"] !== "navigate" || headers["sec-fetch-dest"] !== "document")
    throw refusal();
}

function refusal(): AppError {
  return AppError.of("FORBIDDEN", "This request must come from our own pages.");
}
