// Converts values between JavaScript, SQLite and Prisma.
import {
  type ArgType,
  type ColumnType,
  ColumnTypeEnum,
  DriverAdapterError,
  type SqlQuery,
} from "@prisma/driver-adapter-utils";
import { toSqlDate } from "../dates.ts";

/** What the driver accepts. Anything else aborts the whole process: its native side panics on a boolean. */
export type SqliteValue = null | string | number | bigint | Buffer;

const DECLARED_TYPES: Readonly<Record<string, ColumnType>> = {
  INTEGER: ColumnTypeEnum.Int32,
  INT: ColumnTypeEnum.Int32,
  BIGINT: ColumnTypeEnum.Int64,
  BOOLEAN: ColumnTypeEnum.Boolean,
  DATETIME: ColumnTypeEnum.DateTime,
  TEXT: ColumnTypeEnum.Text,
  REAL: ColumnTypeEnum.Double,
  DOUBLE: ColumnTypeEnum.Double,
  DECIMAL: ColumnTypeEnum.Numeric,
  BLOB: ColumnTypeEnum.Bytes,
  JSONB: ColumnTypeEnum.Json,
};

/** Converts a parameter to a value the driver accepts. Throws TypeError on a value that SQL cannot hold. */
export function toSqliteValue(value: unknown): SqliteValue {
  if (value === null || typeof value === "bigint") return value;
  // The driver reads text only up to a NUL character, so keeping one would silently cut off what follows it.
  if (typeof value === "string") {
    return value.includes("\0") ? value.replaceAll("\0", "\uFFFD") : value;
  }
  // The driver binds every number as a REAL; an integer must be passed as a bigint to stay one.
  if (Number.isSafeInteger(value)) return BigInt(value as number);
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (value instanceof Date) return toSqlDate("sqlite", value);
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
  throw new TypeError(`Cannot pass a ${typeof value} to SQLite`);
}

/** Converts the parameters of one of Prisma's statements. */
export function toSqliteArgs(query: SqlQuery): SqliteValue[] {
  return query.args.map((arg, index) => toSqliteArg(arg, query.argTypes[index]));
}

function toSqliteArg(arg: unknown, type: ArgType | undefined): SqliteValue {
  if (typeof arg === "string") {
    switch (type?.scalarType) {
      case "datetime":
        return toSqlDate("sqlite", new Date(arg));
      case "bigint":
        return BigInt(arg);
      case "decimal":
        return Number.parseFloat(arg);
      case "bytes":
        return Buffer.from(arg, "base64");
      default:
        return toSqliteValue(arg);
    }
  }
  return toSqliteValue(arg);
}

/**
 * Returns Prisma's column types, from the declared types or, for expressions, from the first value that is not NULL.
 */
export function toColumnTypes(
  declared: readonly (string | null)[],
  rows: readonly (readonly unknown[])[],
): ColumnType[] {
  return declared.map((type, index) => {
    const known = DECLARED_TYPES[(type ?? "").toUpperCase()];
    if (known !== undefined) return known;
    const sample = rows.find((row) => row[index] !== null)?.[index];
    switch (typeof sample) {
      case "string":
        return ColumnTypeEnum.Text;
      case "bigint":
        return ColumnTypeEnum.Int64;
      case "number":
        return ColumnTypeEnum.UnknownNumber;
      case "object":
        return ColumnTypeEnum.Bytes;
      default:
        return ColumnTypeEnum.Int32;
    }
  });
}

/** Converts a row to the form Prisma's engine expects. */
export function toPrismaRow(row: readonly unknown[], types: readonly ColumnType[]): unknown[] {
  return row.map((value, index) => {
    if (typeof value === "bigint") return value.toString();
    if (typeof value === "number" && types[index] === ColumnTypeEnum.DateTime) {
      return new Date(value).toISOString();
    }
    return value;
  });
}

/** An error of the driver (`SqliteError`): a code such as SQLITE_BUSY beside the extended number. */
export interface SqliteDriverError extends Error {
  code: string;
  rawCode?: number;
}

/** Whether an error came from the driver. */
export function isSqliteDriverError(error: unknown): error is SqliteDriverError {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    error.code.startsWith("SQLITE_")
  );
}

/** Whether another process (or connection) held a lock. The statement then had no effect. */
export function isBusy(error: unknown): boolean {
  return isSqliteDriverError(error) && /^SQLITE_(BUSY|LOCKED)/.test(error.code);
}

/** Converts the driver's error to the form that Prisma turns into its own codes (P2002, P2034, …). */
export function toPrismaError(error: unknown): unknown {
  if (!isSqliteDriverError(error)) return error;
  const extendedCode = error.rawCode ?? 1;
  const original = { originalCode: String(extendedCode), originalMessage: error.message };
  if (isBusy(error)) {
    return new DriverAdapterError({ ...original, kind: "TransactionWriteConflict" });
  }
  const [, names] = error.message.split("constraint failed: ");
  const fields = names?.split(", ").map((name) => name.slice(name.lastIndexOf(".") + 1));
  const constraint = fields === undefined ? undefined : { fields };
  switch (extendedCode) {
    case 2067: // SQLITE_CONSTRAINT_UNIQUE
    case 1555: // SQLITE_CONSTRAINT_PRIMARYKEY
      return new DriverAdapterError({ ...original, kind: "UniqueConstraintViolation", constraint });
    case 1299: // SQLITE_CONSTRAINT_NOTNULL
      return new DriverAdapterError({ ...original, kind: "NullConstraintViolation", constraint });
    default:
      return new DriverAdapterError({
        ...original,
        kind: "sqlite",
        extendedCode,
        message: error.message,
      });
  }
}
