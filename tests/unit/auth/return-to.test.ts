// No `returnTo` leads away from the frontend (PROMISES.md, sign-in: any open-redirect trick).
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { safeReturnTo } from "../../../server/auth/sign-in/return-to.ts";

describe("safeReturnTo", () => {
  it.each([
    ["/"],
    ["/chat"],
    ["/chat/42?tab=files&x=%20y#bottom"],
    ["/a%20b"],
    ["/search?q=https://example.com//x\u00e9"],
    ["/?next=//evil.example"],
  ])("keeps %j", (path) => {
    const kept = safeReturnTo(path);
    expect(kept).not.toBeNull();
    expect(new URL(kept ?? "", "https://app.example").href).toBe(
      new URL(path, "https://app.example").href,
    );
  });

  it.each([
    [""],
    ["chat"],
    ["//evil.example"],
    ["///evil.example"],
    ["/\\evil.example"],
    ["\\/evil.example"],
    ["/\\/evil.example"],
    ["/%5cevil.example"],
    ["/%2fevil.example"],
    ["/%2Fevil.example"],
    ["/%252fevil.example"],
    ["/%25252fevil.example"],
    ["/%09/evil.example"],
    ["/\t/evil.example"],
    ["/\n/evil.example"],
    ["/\r\nSet-Cookie: a=b"],
    ["/%0d%0aSet-Cookie:a=b"],
    ["/..//evil.example"],
    ["/.//evil.example"],
    ["/a/..//evil.example"],
    ["/%2e%2e//evil.example"],
    ["/..%2f/evil.example"],
    ["/./%2f.."],
    ["/./%2fevil.example/%252e%252e/%252e%252e"],
    ["/a/../%2fevil.example/b/../%252e%252e"],
    ["https://evil.example"],
    ["https:evil.example"],
    ["HTTPS://evil.example"],
    ["javascript:alert(1)"],
    ["data:text/html,x"],
    [" /chat"],
    ["\u0000/chat"],
    ["/\u202egnp.exe"],
    ["/\u200b/evil.example"],
    ["@evil.example"],
    ["/%"],
    ["/%zz"],
    ["/%ff"],
    [`/${"a".repeat(600)}`],
    [undefined],
    [null],
    [42],
    [["/chat"]],
    [{ path: "/chat" }],
  ])("ignores %j", (value) => {
    expect(safeReturnTo(value)).toBeNull();
  });

  it("never leaves the frontend, whatever it is given", () => {
    const piece = fc.constantFrom(
      ...["/", "\\", ".", "..", "%2f", "%5c", "%25", "\t", "@", ":", "evil.example", "a", "?", "#"],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const kept = safeReturnTo(`/${pieces.join("")}`);
        if (kept === null) return;
        const url = new URL(kept, "https://app.example");
        expect(url.origin).toBe("https://app.example");
        // Nor when a router decodes the path and navigates again.
        expect(new URL(decodeURIComponent(url.pathname), "https://app.example").origin).toBe(
          "https://app.example",
        );
      }),
      { numRuns: 20_000 },
    );
  });
});
