// The path of a request: what it names, without its query.

/** Where the tRPC router is mounted. */
export const TRPC_PREFIX = "/api/trpc/";

/** The path of a request line, without its query: a callback's query holds a code. */
export function pathOf(url: string | undefined): string {
  const path = url ?? "/";
  const end = path.indexOf("?");
  return end === -1 ? path : path.slice(0, end);
}

/**
 * The request target as a path: a proxy's form (`GET http://host/path`, RFC 9112 3.2.2) names the same thing. No target has a
 * fragment; Node.js lets one through, and whoever parses it as a URL leaves it out.
 */
export function originForm(written: string): string {
  const [target = ""] = written.split("#", 1);
  if (target.startsWith("/")) return target;
  const rest = /^https?:\/\/[^/?]*(.*)$/is.exec(target)?.[1];
  if (rest === undefined) return target;
  return rest.startsWith("/") ? rest : `/${rest}`;
}
