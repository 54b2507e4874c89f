import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { expect, test } from "vitest";
import {
  addressKey,
  createClientAddress,
  createProxyCheck,
} from "../../server/http/client-address.ts";

function from(remoteAddress: string, forwarded?: string): IncomingMessage {
  const socket = new Socket();
  Object.defineProperty(socket, "remoteAddress", { value: remoteAddress });
  const request = new IncomingMessage(socket);
  if (forwarded !== undefined) request.headers["x-forwarded-for"] = forwarded;
  return request;
}

test.each([
  [false, "10.0.0.1", "1.1.1.1", "10.0.0.1"],
  [1, "10.0.0.1", "1.1.1.1", "1.1.1.1"],
  [1, "10.0.0.1", "9.9.9.9, 1.1.1.1", "1.1.1.1"],
  [2, "10.0.0.1", "9.9.9.9, 1.1.1.1", "9.9.9.9"],
  [2, "10.0.0.1", "1.1.1.1", "1.1.1.1"],
  [1, "10.0.0.1", undefined, "10.0.0.1"],
  [1, "10.0.0.1", "not an address", "10.0.0.1"],
  [2, "10.0.0.1", "evil, 1.1.1.1", "1.1.1.1"],
  ["10.0.0.0/8", "10.0.0.1", "9.9.9.9, 1.1.1.1, 10.9.9.9", "1.1.1.1"],
  ["10.0.0.0/8", "8.8.8.8", "1.1.1.1", "8.8.8.8"],
  ["loopback", "::1", "2001:db8::1", "2001:db8::1"],
  ["loopback", "::ffff:127.0.0.1", "1.1.1.1", "1.1.1.1"],
  ["loopback", "::ffff:7f00:1", "1.1.1.1", "1.1.1.1"],
  ["loopback", "127.0.0.1", "::ffff:cb00:713c", "203.0.113.60"],
  ["loopback", "127.0.0.1", "1.1.1.1,\t::1", "1.1.1.1"],
  ["loopback", "127.0.0.1", "9.9.9.9, 1.1.1.1, 127.1", "127.0.0.1"],
  ["loopback", "127.0.0.1", "9.9.9.9, 2130706433", "127.0.0.1"],
  ["10.0.0.0/8,fd00::/8", "fd00::9", "9.9.9.9, 1.1.1.1, ::ffff:a01:203", "1.1.1.1"],
  ["10.0.0.7", "10.0.0.7", "1.1.1.1, 10.0.0.8", "10.0.0.8"],
  [3, "10.0.0.1", Array(200).fill("1.1.1.1").join(","), "1.1.1.1"],
  ["loopback", "127.0.0.1", "evil", "127.0.0.1"],
  ["loopback", "127.0.0.1", "", "127.0.0.1"],
  ["loopback", "127.0.0.1", "::ffff:999.1.1.1", "127.0.0.1"],
  ["loopback", "127.0.0.1", "1.1.1.1:443", "127.0.0.1"],
  ["loopback", "127.0.0.1%lo", "1.1.1.1", "1.1.1.1"],
  ["uniquelocal,loopback", "127.0.0.1", "1.1.1.1, 192.168.0.5, fd00::1", "1.1.1.1"],
] as const)(
  "with trust %s, socket %s and X-Forwarded-For %s the client is %s",
  (trust, socket, forwarded, client) => {
    expect(createClientAddress(trust)(from(socket, forwarded))).toBe(client);
  },
);

test("a client that has gone has the address of nobody", () => {
  expect(createClientAddress(false)(new IncomingMessage(new Socket()))).toBe("0.0.0.0");
});

test.each([
  ["203.0.113.9", "203.0.113.9"],
  ["::ffff:203.0.113.9", "203.0.113.9"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8:1:2::", "2001:db8:1:2::/64"],
  ["2001:0db8:0001:0002::9", "2001:db8:1:2::/64"],
  ["2001:DB8:1:2::A", "2001:db8:1:2::/64"],
  ["::1", "0:0:0:0::/64"],
  ["2001:db8::1:2:3:4", "2001:db8:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::ffff:cb00:713c", "203.0.113.60"],
  ["::FFFF:CB00:713C", "203.0.113.60"],
  ["0:0:0:0:0:ffff:cb00:713c", "203.0.113.60"],
  ["0000:0000:0000:0000:0000:ffff:203.0.113.60", "203.0.113.60"],
  ["::ffff:7f00:1", "127.0.0.1"],
  ["::ffff:0:1", "0.0.0.1"],
  ["::ffff:0:203.0.113.60", "0:0:0:0::/64"],
  ["64:ffff::1", "64:ffff:0:0::/64"],
  ["64:ff9b::cb00:713c", "203.0.113.60"],
  ["64:FF9B::203.0.113.60", "203.0.113.60"],
  ["64:ff9b:0:0:0:0:cb00:713c", "203.0.113.60"],
  ["0064:ff9b::7", "0.0.0.7"],
  ["64:ff9b:1::cb00:713c", "64:ff9b:1:0::/64"],
  ["64:ff9b::1:cb00:713c", "64:ff9b:0:0::/64"],
  ["::ffff:cb00:713c%eth0", "203.0.113.60"],
  [" ::ffff:cb00:713c\t", "203.0.113.60"],
  ["::ffff:0cb0:0001", "12.176.0.1"],
  ["::ffff:ffff:ffff", "255.255.255.255"],
  ["::FFFF:203.0.113.60", "203.0.113.60"],
  ["1::ffff:203.0.113.60", "1:0:0:0::/64"],
  ["::ffff:cb00:713c:1", "0:0:0:0::/64"],
  ["::1:ffff:cb00:713c", "0:0:0:0::/64"],
  ["1:2:3::4", "1:2:3:0::/64"],
  ["1:2:3:4:5::", "1:2:3:4::/64"],
  ["::2:3:4:5:6:7:8", "0:2:3:4::/64"],
  ["::", "0:0:0:0::/64"],
  ["2001:db8::ffff:1", "2001:db8:0:0::/64"],
  ["not an address", "not an address"],
])("%s counts as %s", (address, key) => {
  expect(addressKey(address)).toBe(key);
});

test.each([
  [false, "10.0.0.1", false],
  [1, "203.0.113.9", true],
  ["loopback", "127.0.0.1", true],
  ["loopback", "::ffff:7f00:1", true],
  ["loopback", "203.0.113.9", false],
  ["10.0.0.0/8", "::ffff:10.1.2.3", true],
] as const)("trust %s: a connection from %s is a proxy's: %s", (trust, address, isProxy) => {
  expect(createProxyCheck(trust)(address)).toBe(isProxy);
});
