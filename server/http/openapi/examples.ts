// Example values for the OpenAPI document, made from its schemas and from realistic values for each property name.
import type { JsonSchema } from "../rest/json-schema.ts";

/** By property name; used where the schema allows any text or number. */
const BY_NAME: Readonly<Record<string, unknown>> = {
  accessToken: "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJl",
  amount: 500,
  amountDue: 500,
  amountPaid: 500,
  available: 100,
  avatar: "https://example.com/ada.png",
  balance: 95,
  charged: 5,
  checkoutUrl: "https://checkout.stripe.com/c/pay/cs_test_1",
  confirmEmail: "ada@example.com",
  content: "What is a monad?",
  credits: 100,
  currency: "usd",
  email: "ada@example.com",
  holdId: "019c13a0-6f10-7d4a-8b52-1c9e7f3a5d08",
  hostedInvoiceUrl: "https://invoice.stripe.com/i/acct_1/test_1",
  id: "019c13a0-5b7d-7c21-9f04-6a1d2e8b3c57",
  idempotencyKey: "7b0c5b2e-6f0a-4f4e-9a55-2f7d9a3f1c11",
  instruction: "Make the titles shorter.",
  ipAddress: "203.0.113.7",
  message: "Please try again.",
  model: "gemini-2.5-flash",
  name: "Ada Lovelace",
  number: "A1B2-0001",
  packageId: "pkg_small",
  planId: "plan_pro_month",
  price: 500,
  previewToken: "eyJwbGFuIjoicHJvIn0.c2lnbmF0dXJl",
  priceVersion: "5c1f0e9a7b34",
  refreshToken: `skr_${"0123456789abcdef".repeat(6).slice(0, 91)}`,
  requestId: "0b9f6c1e-8a67-4d52-b1a5-5a4d5d1f2a34",
  runId: "019c13a0-7a2b-7e6f-9d13-4b8a0c6e2f71",
  sessionId: "cs_test_1",
  status: "active",
  text: "A monad is a pattern for chaining steps.",
  tier: "PRO",
  timeZone: "Europe/Berlin",
  title: "A short history of computing",
  topic: "A short history of computing",
  transactionId: "019c13a0-8c4d-7f18-a275-9e3b5d1f7a60",
  url: "https://example.com",
  userAgent: "Mozilla/5.0",
  userId: "019c13a0-4d9a-7b35-8e61-2f7c0a4d6b92",
};

const BY_FORMAT: Readonly<Record<string, string>> = {
  "date-time": "2026-01-31T12:00:00.000Z",
  date: "2026-01-31",
  uri: "https://example.com",
};

/** Returns a value that the schema accepts. Optional fields are left out of inputs. */
export function exampleOf(schema: JsonSchema, name = "", isInput = false): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const alternative = (schema.anyOf ?? schema.oneOf)?.[0];
  if (alternative !== undefined) return exampleOf(alternative, name, isInput);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "object") return objectExample(schema, isInput);
  if (type === "array") return schema.items ? [exampleOf(schema.items, name, isInput)] : [];
  if (type === "boolean") return false;
  if (type === "null") return null;
  if (type === "integer" || type === "number") return numberExample(schema, name);
  return textExample(schema, name);
}

function textExample({ format, pattern = "" }: JsonSchema, name: string): string | undefined {
  if (format !== undefined && Object.hasOwn(BY_FORMAT, format)) return BY_FORMAT[format];
  const known = BY_NAME[name];
  if (typeof known !== "string") return "text";
  // An invoice's `id` is Stripe's.
  return new RegExp(pattern, "u").test(known) ? known : "in_1";
}

function objectExample(schema: JsonSchema, isInput: boolean): Record<string, unknown> {
  const required = new Set(schema.required);
  return Object.fromEntries(
    Object.entries(schema.properties ?? {})
      .filter(([name]) => !isInput || required.has(name) || required.size === 0)
      .map(([name, property]) => [name, exampleOf(property, name, isInput)]),
  );
}

function numberExample({ minimum = 0, maximum }: JsonSchema, name: string): number {
  const value = BY_NAME[name];
  const wanted = typeof value === "number" ? value : 1;
  return Math.min(Math.max(wanted, minimum), maximum ?? wanted);
}
