// Owns who the client is: its address, as far as TRUST_PROXY allows X-Forwarded-For to be believed.
import type { IncomingMessage } from "node:http";
import { BlockList, isIP, isIPv6 } from "node:net";
import type { Config } from "../config/config.ts";
import { trimOptionalWhitespace } from "../lib/text.ts";

/** Longest chain looked at; a longer one is noise or an attack. */
const MAX_HOPS = 32;

const NAMED_RANGES: Readonly<Record<string, readonly (readonly [string, number])[]>> = {
  loopback: [
    ["127.0.0.0", 8],
    ["::1", 128],
  ],
  linklocal: [
    ["169.254.0.0", 16],
    ["fe80::", 10],
  ],
  uniquelocal: [
    ["10.0.0.0", 8],
    ["172.16.0.0", 12],
    ["192.168.0.0", 16],
    ["fc00::", 7],
  ],
};

/** An address in its one spelling here: without a zone, and an IPv4 mapped into IPv6 (RFC 4291 2.5.5.2) as the IPv4 it is. */
function plain(address: string): string {
  const unzoned = address.replace(/%.*$/, "");
  const dotted = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(unzoned)?.[1];
  if (dotted !== undefined) return dotted;
  // Only `::ffff:` has this group; the WHATWG parser knows the address under every other spelling.
  if (!/ffff:/i.test(unzoned) || !isIPv6(unzoned)) return unzoned;
  const mapped = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(
    new URL(`http://[${unzoned}]`).hostname,
  );
  if (mapped === null) return unzoned;
  const bits = Number.parseInt(mapped[1] ?? "", 16) * 65_536 + Number.parseInt(mapped[2] ?? "", 16);
  return [bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255].join(".");
}

/** Whether an address is one of `list` (TRUST_PROXY's form). */
function trusted(list: string): (address: string) => boolean {
  const ranges = new BlockList();
  for (const part of list.split(",")) {
    const [address = "", bits] = part.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    for (const [network, prefix] of NAMED_RANGES[part] ?? [])
      ranges.addSubnet(network, prefix, isIP(network) === 6 ? "ipv6" : "ipv4");
    if (isIP(address) === 0) continue;
    if (bits === undefined) ranges.addAddress(address, family);
    else ranges.addSubnet(address, Number(bits), family);
  }
  return (address) => ranges.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

/**
 * Makes the function that tells a request's client address. Without a trusted proxy that is the socket's. With hops or
 * addresses, X-Forwarded-For is walked from the right past what is trusted; what is no address ends the walk.
 */
export function createClientAddress(
  trustProxy: Config["trustProxy"],
): (request: IncomingMessage) => string {
  const socketAddress = (request: IncomingMessage) =>
    plain(request.socket.remoteAddress ?? "0.0.0.0");
  if (trustProxy === false) return socketAddress;
  const isTrusted =
    typeof trustProxy === "number"
      ? (_address: string, hop: number) => hop < trustProxy
      : trusted(trustProxy);
  return (request) => {
    let address = socketAddress(request);
    const header = request.headers["x-forwarded-for"];
    const chain = (Array.isArray(header) ? header.join(",") : (header ?? "")).split(",");
    for (let hop = 0; hop < Math.min(chain.length, MAX_HOPS); hop += 1) {
      const next = plain(trimOptionalWhitespace(chain[chain.length - 1 - hop] ?? ""));
      if (!isTrusted(address, hop) || isIP(next) === 0) return address;
      address = next;
    }
    return address;
  };
}

/** The key an address is counted under: IPv4 whole, IPv6 by /64, since one subscriber holds at least that much. */
export function addressKey(address: string): string {
  const client = plain(address).toLowerCase();
  if (!isIPv6(client)) return client;
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
  if (typeof trustProxy !== "string") return () => trustProxy !== false && trustProxy > 0;
  const isTrusted = trusted(trustProxy);
  return (address) => isTrusted(plain(address));
}
