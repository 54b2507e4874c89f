// Owns the ledger's own check of what it is given: nothing malformed is queued, whoever calls.
import { AppError } from "../errors.ts";
import type { LedgerOperation } from "./operations.ts";

const MAX_AMOUNT_CREDITS = 1_000_000_000;
const MAX_TTL_SECONDS = 86_400;
const MAX_KEY_LENGTH = 255;
const MAX_METADATA_BYTES = 4096;

function refuse(field: string, sentence: string): never {
  throw AppError.of("VALIDATION_FAILED", `Please check ${field}: ${sentence}`, {
    fields: { [field]: [sentence] },
  });
}

function requireInteger(field: string, value: unknown, min: number, max: number): void {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max)
    refuse(field, `a whole number from ${min} to ${max}.`);
}

function requireKey(field: string, value: unknown): void {
  if (typeof value !== "string" || value.length === 0 || value.length > MAX_KEY_LENGTH)
    refuse(field, `1 to ${MAX_KEY_LENGTH} characters.`);
  if (!/^[\x21-\x7e]+$/.test(value)) refuse(field, "printable ASCII characters without spaces.");
}

function requireMetadata(metadata: Readonly<Record<string, unknown>>): void {
  for (const key of Object.getOwnPropertyNames(metadata))
    if (["__proto__", "constructor", "prototype"].includes(key))
      refuse("metadata", "prototype keys are not allowed.");
  if (Buffer.byteLength(JSON.stringify(metadata)) > MAX_METADATA_BYTES)
    refuse("metadata", "4 kB of JSON at most.");
}

/** Throws VALIDATION_FAILED, its `fields` naming what is wrong. */
export function validateOperation(operation: LedgerOperation): void {
  if (typeof operation.userId !== "string" || !/^[\x21-\x7e]{1,36}$/.test(operation.userId))
    refuse("userId", "an id as the server gave it.");
  if ("idempotencyKey" in operation) requireKey("idempotencyKey", operation.idempotencyKey);
  switch (operation.kind) {
    case "spend":
      requireInteger("amount", operation.amountCredits, 1, MAX_AMOUNT_CREDITS);
      if (operation.metadata !== undefined) requireMetadata(operation.metadata);
      return;
    case "reserve":
      requireInteger("amount", operation.amountCredits, 1, MAX_AMOUNT_CREDITS);
      requireInteger("ttlSeconds", operation.ttlSeconds, 1, MAX_TTL_SECONDS);
      return;
    case "settle":
      requireKey("holdId", operation.holdId);
      if (operation.amountCredits !== undefined)
        requireInteger("amount", operation.amountCredits, 0, MAX_AMOUNT_CREDITS);
      return;
    case "release":
      requireKey("holdId", operation.holdId);
      return;
    case "grant":
      requireKey("grantKey", operation.grantKey);
      requireInteger("amount", operation.amountCredits, 1, MAX_AMOUNT_CREDITS);
      return;
    case "takeBack":
      requireKey("grantKey", operation.grantKey);
      requireInteger("amount", operation.amountCredits, 1, MAX_AMOUNT_CREDITS);
      return;
    case "adjust":
      requireInteger("amount", operation.amountCredits, -MAX_AMOUNT_CREDITS, MAX_AMOUNT_CREDITS);
      if (operation.amountCredits === 0) refuse("amount", "0 changes nothing.");
      return;
    case "expireLots":
    case "expireHolds":
      return;
  }
}
