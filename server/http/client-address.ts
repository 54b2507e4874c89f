// Who the client is: its address, as far as TRUST_PROXY allows X-Forwarded-For to be believed.
import type { IncomingMessage } from "node:http";
import { isIP, isIPv6 } from "node:net";
import proxyAddr from "proxy-addr";
import type { Config } from "../config/config.ts";
import { trimOptionalWhitespace } from "../lib/text.ts";

/** Whether the peer `hop` places from this server is a proxy whose X-Forwarded-For is believed. */
type TrustedProxy = (address: string, hop: number) => boolean;

/** An address in its one spelling here: without a zone, and an IPv4 mapped into IPv6 (RFC 4291 2.5.5.2) as the IPv4 it is. */
function plain(address: string): string {
  const unzoned = trimOptionalWhitespace(address).replace(/%.*$/, "");
  const dotted = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(unzoned)?.[1];
  if (dotted !== undefined) return dotted;
  // Only `::ffff:` has this group; the WHATWG parser knows the address under every other spelling.
  if (!/ffff:/i.test(unzoned) || !isIPv6(unzoned)) return unzoned;
  return embedded(unzoned, MAPPED) ?? unzoned;
}

/** IPv4 in IPv6, as the WHATWG URL parser spells it. */
const MAPPED = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/;
/** The well-known prefix of translators from IPv4 to IPv6 (RFC 6052 2.1); zeros of the first half are left out. */
const TRANSLATED = /^\[64:ff9b::(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})\]$/;

/** The IPv4 address inside an IPv6 one of this form, dotted; null when it has another. */
function embedded(ipv6: string, form: RegExp): string | null {
  const found = form.exec(new URL(`http://[${ipv6}]`).hostname);
  if (found === null) return null;
  const [high, low] = [found[1] ?? "0", found[2] ?? "0"].map((group) => Number.parseInt(group, 16));
  return [high, low].flatMap((group = 0) => [group >> 8, group & 255]).join(".");
}

/** The one rule about proxies: for the client's address and for connections. */
function createTrustedProxy(trustProxy: Config["trustProxy"]): TrustedProxy {
  if (trustProxy === false) return () => false;
  const trusts: TrustedProxy =
    typeof trustProxy === "number"
      ? (_address, hop) => hop < trustProxy
      : proxyAddr.compile(trustProxy.split(","));
  return (address, hop) => {
    const peer = plain(address);
    // The library also reads `127.1`, `0x7f000001` and `2130706433`; no proxy writes an address like that.
    return isIP(peer) !== 0 && trusts(peer, hop);
  };
}

/**
 * Makes the function that returns a request's client address. Without a trusted proxy that is the socket's. Otherwise
 * X-Forwarded-For is walked from the right past the proxies trusted; an entry that is no address ends the walk.
 */
export function createClientAddress(
  trustProxy: Config["trustProxy"],
): (request: IncomingMessage) => string {
  const isTrusted = createTrustedProxy(trustProxy);
  return (request) => {
    const socketAddress = request.socket.remoteAddress;
    // The client has gone.
    if (socketAddress === undefined) return "0.0.0.0";
    if (!isTrusted(socketAddress, 0)) return plain(socketAddress);
    const chain = proxyAddr.all(request, isTrusted).map(plain);
    // All but the last are trusted, and so are addresses.
    return chain.findLast((address) => isIP(address) !== 0) ?? plain(socketAddress);
  };
}

/**
 * The key an address is counted under: IPv4 whole, IPv6 by /64, since one subscriber holds at least that much. Behind a
 * translator every IPv4 client comes from one /64, so there the address inside counts.
 */
export function addressKey(address: string): string {
  const client = plain(address).toLowerCase();
  if (!isIPv6(client)) return client;
  const translated = embedded(client, TRANSLATED);
  if (translated !== null) return translated;
  const [head = "", tail = ""] = client.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === "" ? [] : tail.split(":");
  // A dotted IPv4 ending takes the room of two groups; it never reaches the first four.
  const missing = client.includes("::") ? 8 - before.length - after.length : 0;
  const groups = [...before, ...Array<string>(Math.max(missing, 0)).fill("0"), ...after];
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}

/** Whether the other end of a connection is a proxy that speaks for many clients. With a number of hops the first one is. */
export function createProxyCheck(trustProxy: Config["trustProxy"]): (address: string) => boolean {
  const isTrusted = createTrustedProxy(trustProxy);
  return (address) => isTrusted(address, 0);
}
