// The client's address. TRUST_PROXY decides how far X-Forwarded-For is trusted.
import type { IncomingMessage } from "node:http";
import { isIP, isIPv6 } from "node:net";
import proxyAddr from "proxy-addr";
import type { Config } from "../config/config.ts";
import { trimOptionalWhitespace } from "../lib/text.ts";

/** Whether the peer `hop` hops away (0 = the socket's) is a proxy whose X-Forwarded-For is trusted. */
type TrustedProxy = (address: string, hop: number) => boolean;

/** Normalizes an address: drops the zone and turns an IPv4-mapped IPv6 address (RFC 4291 2.5.5.2) into plain IPv4. */
function plain(address: string): string {
  const unzoned = trimOptionalWhitespace(address).replace(/%.*$/, "");
  const dotted = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(unzoned)?.[1];
  if (dotted !== undefined) return dotted;
  // Every mapped address contains this group. The WHATWG parser normalizes its remaining spellings.
  if (!/ffff:/i.test(unzoned) || !isIPv6(unzoned)) return unzoned;
  return embedded(unzoned, MAPPED) ?? unzoned;
}

/** An IPv4-mapped address, as the WHATWG URL parser writes it. */
const MAPPED = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/;
/** The well-known prefix of IPv4/IPv6 translators (RFC 6052 2.1); a zero first half of the IPv4 address is omitted. */
const TRANSLATED = /^\[64:ff9b::(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})\]$/;

/** Returns the dotted IPv4 address embedded in an IPv6 address of this form; null if it has another form. */
function embedded(ipv6: string, form: RegExp): string | null {
  const found = form.exec(new URL(`http://[${ipv6}]`).hostname);
  if (found === null) return null;
  const [high, low] = [found[1] ?? "0", found[2] ?? "0"].map((group) => Number.parseInt(group, 16));
  return [high, low].flatMap((group = 0) => [group >> 8, group & 255]).join(".");
}

/** The single rule for trusting proxies, for client addresses and for connections. */
function createTrustedProxy(trustProxy: Config["trustProxy"]): TrustedProxy {
  if (trustProxy === false) return () => false;
  const trusts: TrustedProxy =
    typeof trustProxy === "number"
      ? (_address, hop) => hop < trustProxy
      : proxyAddr.compile(trustProxy.split(","));
  return (address, hop) => {
    const peer = plain(address);
    // proxy-addr also accepts `127.1`, `0x7f000001` and `2130706433`; no proxy writes an address like that.
    return isIP(peer) !== 0 && trusts(peer, hop);
  };
}

/**
 * Creates the function that returns a request's client address. Without a trusted proxy that is the socket's address.
 * Otherwise X-Forwarded-For is walked from the right past the trusted proxies; an entry that is not an address ends the
 * walk.
 */
export function createClientAddress(
  trustProxy: Config["trustProxy"],
): (request: IncomingMessage) => string {
  const isTrusted = createTrustedProxy(trustProxy);
  return (request) => {
    const socketAddress = request.socket.remoteAddress;
    // The client has disconnected.
    if (socketAddress === undefined) return "0.0.0.0";
    if (!isTrusted(socketAddress, 0)) return plain(socketAddress);
    const chain = proxyAddr.all(request, isTrusted).map(plain);
    // All but the last are trusted, which only valid addresses can be.
    return chain.findLast((address) => isIP(address) !== 0) ?? plain(socketAddress);
  };
}

/**
 * Returns the key an address is counted under: IPv4 in full, IPv6 by its /64, since one subscriber holds at least that
 * much. Behind a translator all IPv4 clients share one /64, so the embedded IPv4 address is the key.
 */
export function addressKey(address: string): string {
  const client = plain(address).toLowerCase();
  if (!isIPv6(client)) return client;
  const translated = embedded(client, TRANSLATED);
  if (translated !== null) return translated;
  const [head = "", tail = ""] = client.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === "" ? [] : tail.split(":");
  // A dotted IPv4 ending counts as one group here instead of two, which never affects the first four.
  const missing = client.includes("::") ? 8 - before.length - after.length : 0;
  const groups = [...before, ...Array<string>(Math.max(missing, 0)).fill("0"), ...after];
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}

/** Creates the check whether a peer is a trusted proxy, speaking for many clients. With a hop count, every peer is. */
export function createProxyCheck(trustProxy: Config["trustProxy"]): (address: string) => boolean {
  const isTrusted = createTrustedProxy(trustProxy);
  return (address) => isTrusted(address, 0);
}
