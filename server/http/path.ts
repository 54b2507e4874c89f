// The path of a request target, without its query.

/** Where the tRPC router is mounted. */
export const TRPC_PREFIX = "/api/trpc/";

/** Returns the path of a request target without its query: a callback's query holds a code. */
export function pathOf(url: string | undefined): string {
  const path = url ?? "/";
  const end = path.indexOf("?");
  return end === -1 ? path : path.slice(0, end);
}

/**
 * Returns the request target in origin form; proxies use the absolute form (`GET http://host/path`, RFC 9112 3.2.2). A
 * target may have no fragment, but Node.js lets one through; it is cut off, as a URL parser would do.
 */
export function originForm(written: string): string {
  const [target = ""] = written.split("#", 1);
  if (target.startsWith("/")) return target;
  const rest = /^https?:\/\/[^/?]*(.*)$/is.exec(target)?.[1];
  if (rest === undefined) return target;
  return rest.startsWith("/") ? rest : `/${rest}`;
}
