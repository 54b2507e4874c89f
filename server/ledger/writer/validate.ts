// The ledger's own input validation, so that no caller can queue a malformed operation.
import { invalidField } from "../../lib/errors.ts";
import type { LedgerOperation } from "../ports.ts";

const MAX_AMOUNT_CREDITS = 1_000_000_000;
/** A debt may exceed what any single operation that contributed to it could take. */
const MAX_DEBT_CREDITS = 2_000_000_000;
const MAX_TTL_SECONDS = 86_400;
const MAX_KEY_LENGTH = 255;
const MAX_ID_LENGTH = 36;
const MAX_PRICE_VERSION_LENGTH = 32;
const MAX_METADATA_BYTES = 4096;

function refuse(field: string, sentence: string): never {
  throw invalidField(field, sentence);
}

function requireInteger(field: string, value: unknown, min: number, max: number): void {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max)
    refuse(field, `a whole number from ${min} to ${max}.`);
}

// The lengths are those of the columns, because MariaDB's JSON_TABLE silently truncates what does not fit.
function requireKey(field: string, value: unknown, maxLength = MAX_KEY_LENGTH): void {
  if (typeof value !== "string" || value.length === 0 || value.length > maxLength)
    refuse(field, `1 to ${maxLength} characters.`);
  if (!/^[\x21-\x7e]+$/.test(value)) refuse(field, "printable ASCII characters without spaces.");
}

function requireMetadata(metadata: Readonly<Record<string, unknown>>): void {
  for (const key of Object.getOwnPropertyNames(metadata))
    if (["__proto__", "constructor", "prototype"].includes(key))
      refuse("metadata", "prototype keys are not allowed.");
  if (Buffer.byteLength(JSON.stringify(metadata)) > MAX_METADATA_BYTES)
    refuse("metadata", "4 kB of JSON at most.");
}

/** Throws VALIDATION_FAILED, with the invalid fields named in `fields`. */
export function validateOperation(operation: LedgerOperation): void {
  requireKey("userId", operation.userId, MAX_ID_LENGTH);
  if ("sourceId" in operation && operation.sourceId !== null)
    requireKey("sourceId", operation.sourceId);
  if ("priceVersion" in operation && operation.priceVersion !== null)
    requireKey("priceVersion", operation.priceVersion, MAX_PRICE_VERSION_LENGTH);
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
      requireKey("holdId", operation.holdId, MAX_ID_LENGTH);
      if (operation.amountCredits !== undefined)
        requireInteger("amount", operation.amountCredits, 0, MAX_AMOUNT_CREDITS);
      return;
    case "release":
      requireKey("holdId", operation.holdId, MAX_ID_LENGTH);
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
      requireKey("actorId", operation.actorId);
      requireInteger("amount", operation.amountCredits, -MAX_AMOUNT_CREDITS, MAX_AMOUNT_CREDITS);
      if (operation.amountCredits === 0) refuse("amount", "0 changes nothing.");
      return;
    case "carryDebt":
      requireInteger("amount", operation.amountCredits, -MAX_DEBT_CREDITS, MAX_DEBT_CREDITS);
      return;
    case "expireLots":
    case "expireHolds":
      return;
  }
}
