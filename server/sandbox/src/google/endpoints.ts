// The Google stand-in's endpoints, and the ways in which any of them can fail.
import type { ServerResponse } from "node:http";

/** The ways in which an endpoint can fail. */
export const ENDPOINT_FAULTS = [
  "hang",
  "500",
  "html",
  "refuse",
  "half",
  "empty-json",
  "slow",
  "error-markup",
] as const;
export type EndpointFault = (typeof ENDPOINT_FAULTS)[number];
export type GoogleEndpoint = "discovery" | "jwks" | "token" | "auth";

export const ENDPOINTS: { [path: string]: GoogleEndpoint } = {
  "/.well-known/openid-configuration": "discovery",
  "/jwks": "jwks",
  "/token": "token",
  "/auth": "auth",
};

const SLOW_MS = 3_000;

/** Responds as `fault` says. Returns false when the request should continue as usual. */
export async function failWith(fault: EndpointFault, res: ServerResponse): Promise<boolean> {
  switch (fault) {
    case "hang":
      return true;
    case "slow":
      await new Promise((wake) => setTimeout(wake, SLOW_MS).unref());
      return false;
    case "refuse":
      res.socket?.destroy();
      return true;
    case "500":
      res.writeHead(500, { "Content-Type": "application/json" }).end('{"error":"server_error"}');
      return true;
    case "html":
      res
        .writeHead(200, { "Content-Type": "text/html" })
        .end("<html><body>Scheduled maintenance</body></html>");
      return true;
    case "half":
      res.writeHead(200, { "Content-Type": "application/json", "Content-Length": "500" });
      res.write('{"access_token":"abc","id_tok', () => res.socket?.destroy());
      return true;
    case "empty-json":
      res.writeHead(200, { "Content-Type": "application/json" }).end("{}");
      return true;
    case "error-markup":
      res.writeHead(400, { "Content-Type": "application/json" });
      res.end(
        JSON.stringify({
          error: "invalid_grant",
          error_description: "<script>alert(1)</script>",
        }),
      );
      return true;
  }
}
