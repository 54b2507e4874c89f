// The URLs given to browsers behind a proxy that serves this API under a path prefix.
import { expect, it } from "vitest";
import { createOpenApi } from "../../../server/http/openapi/openapi.ts";
import { publicBaseOf } from "../../../server/lib/public-base.ts";

it.each([
  ["https://app.example.com/backend/api/auth/google/callback", "https://app.example.com/backend"],
  ["https://app.example.com/a/b/api/auth/google/callback", "https://app.example.com/a/b"],
  ["https://api.example.com/api/auth/google/callback", "https://api.example.com"],
  ["https://api.example.com:8443/api/auth/google/callback", "https://api.example.com:8443"],
  ["https://app.example.com/signed-in", "https://app.example.com"],
  ["https://app.example.com/backend/api/auth/google/callback/", "https://app.example.com"],
])("of the callback %s is %s", (callback, base) => {
  expect(publicBaseOf(callback)).toBe(base);
});

it.each([
  ["https://app.example.com/backend", "https://app.example.com/backend"],
  ["http://localhost:5000", "/"],
  ["http://localhost:5000/backend", "/backend"],
])("%s is the OpenAPI document's server %s", (base, url) => {
  expect(createOpenApi(base).servers).toEqual([{ url }]);
});
