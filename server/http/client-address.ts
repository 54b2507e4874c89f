// Owns who the client is: its address, as far as TRUST_PROXY allows X-Forwarded-For to be believed.
import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";
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

function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "").replace(/%.*$/, "");
}

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
