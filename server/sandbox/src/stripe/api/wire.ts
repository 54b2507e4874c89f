// Stripe's wire conventions: bracketed form bodies, typed access to parameters, and the error envelope.
import type { Metadata } from "../objects/types.ts";

export type FormValue = string | FormMap;
export interface FormMap {
  [key: string]: FormValue;
}

/** An error response, in the real shape (`docs.stripe.com/api/errors`). */
export interface ApiError {
  readonly kind: "stripe-api-error";
  status: number;
  type: string;
  message: string;
  code?: string;
  param?: string;
  declineCode?: string;
  extra?: { [field: string]: unknown };
}

/** Builds an error to throw from a handler; `status` is the HTTP status of the response. */
export function apiError(fields: Omit<ApiError, "kind">): ApiError {
  return { kind: "stripe-api-error", ...fields };
}

/** Whether a thrown value is an `apiError`, rather than a bug. */
export function isApiError(thrown: unknown): thrown is ApiError {
  return (
    typeof thrown === "object" &&
    thrown !== null &&
    "kind" in thrown &&
    thrown.kind === "stripe-api-error"
  );
}

/** 400 `invalid_request_error` about one parameter. */
export function badParam(
  message: string,
  param?: string,
  code = "parameter_invalid_empty",
): ApiError {
  return apiError({ status: 400, type: "invalid_request_error", message, code, param });
}

/** `resource_missing`: 404 when the id is in the path, 400 when it came as a parameter. */
export function missing(what: string, id: string, param = "id"): ApiError {
  return apiError({
    status: param === "id" ? 404 : 400,
    type: "invalid_request_error",
    code: "resource_missing",
    message: `No such ${what}: '${id}'`,
    param,
  });
}

/** The JSON body of an error response. */
export function errorBody(error: ApiError, requestId: string): string {
  return `${JSON.stringify(
    {
      error: {
        ...(error.code ? { code: error.code } : {}),
        ...(error.declineCode ? { decline_code: error.declineCode } : {}),
        ...(error.code ? { doc_url: `https://stripe.com/docs/error-codes/${error.code}` } : {}),
        message: error.message,
        ...(error.param ? { param: error.param } : {}),
        request_log_url: `https://dashboard.stripe.com/test/logs/${requestId}`,
        type: error.type,
        ...error.extra,
      },
    },
    null,
    2,
  )}\n`;
}

const MAX_PAIRS = 2000;
const MAX_DEPTH = 8;

function newMap(): FormMap {
  // No prototype, so that `__proto__` is an ordinary key.
  return Object.create(null) as FormMap;
}

/**
 * Decodes `a[b][0]=c` into nested maps (list items keyed by their index).
 * Throws `apiError` 400 for more than 2000 parameters or more than 8 levels.
 */
export function parseForm(text: string): FormMap {
  const root = newMap();
  let pairs = 0;
  for (const [key, value] of new URLSearchParams(text)) {
    pairs += 1;
    if (pairs > MAX_PAIRS)
      throw badParam("Too many parameters.", undefined, "parameters_exclusive");
    const parts = key.split(/[[\]]+/).filter((part, i) => i === 0 || part !== "");
    if (key.endsWith("[]")) parts.push("");
    if (parts.length > MAX_DEPTH) throw badParam(`Invalid object: ${key}`, key);
    let here = root;
    for (const [i, rawPart] of parts.entries()) {
      const part = rawPart === "" && i > 0 ? String(Object.keys(here).length) : rawPart;
      if (i === parts.length - 1) {
        here[part] = value;
        break;
      }
      const next = here[part];
      if (typeof next === "object") {
        here = next;
      } else {
        const made = newMap();
        here[part] = made;
        here = made;
      }
    }
  }
  return root;
}

/** Reads parameters one by one. `done()` rejects any that were not read, as the real API does. */
export interface Fields {
  has(name: string): boolean;
  text(name: string): string | undefined;
  needText(name: string): string;
  int(name: string): number | undefined;
  needInt(name: string): number;
  bool(name: string): boolean | undefined;
  oneOf<T extends string>(name: string, allowed: readonly T[]): T | undefined;
  map(name: string): Fields | undefined;
  /** Child maps of a list such as `items[0][price]`. */
  maps(name: string): Fields[];
  texts(name: string): string[];
  /** Metadata to merge; an empty string marks a key for removal. */
  metadata(name?: string): Metadata | undefined;
  ignore(...names: string[]): void;
  param(name: string): string;
  done(): void;
}

function parseWhole(value: string, param: string): number {
  if (!/^-?\d{1,15}$/.test(value)) {
    throw badParam(`Invalid integer: ${value}`, param, "parameter_invalid_integer");
  }
  return Number(value);
}

function parseFlag(value: string, param: string): boolean {
  if (value !== "true" && value !== "false") {
    throw badParam(`Invalid boolean: ${value}`, param, "parameter_invalid_boolean");
  }
  return value === "true";
}

function parseOneOf<T extends string>(value: string, allowed: readonly T[], param: string): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) {
    throw badParam(
      `Invalid ${param}: must be one of ${allowed.join(", ")}`,
      param,
      "parameter_invalid",
    );
  }
  return found;
}

/** The items of a list, each with its parameter path. */
function itemsOf(value: FormValue | undefined, param: string): [string, FormValue][] {
  if (value === undefined || value === "") return [];
  if (typeof value !== "object") throw badParam("Invalid array", param);
  return Object.entries(value).map(([key, item]) => [`${param}[${key}]`, item]);
}

function parseMetadata(value: FormValue | undefined, param: string): Metadata | undefined {
  if (value === undefined || value === "") return undefined;
  if (typeof value !== "object") throw badParam("Invalid object", param);
  const out: Metadata = {};
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== "string" || key.length > 40 || item.length > 500) {
      throw badParam(
        "Metadata values must be strings of at most 500 characters, keys of at most 40.",
        param,
      );
    }
    // Not by assignment, so that `__proto__` is an ordinary key.
    Object.defineProperty(out, key, {
      value: item,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  if (Object.keys(out).length > 50) throw badParam("Too many metadata keys.", param);
  return out;
}

function needed<T>(value: T | undefined, param: string): T {
  if (value === undefined)
    throw badParam(`Missing required param: ${param}.`, param, "parameter_missing");
  if (value === "") {
    throw badParam(
      `You passed an empty string for '${param}'. We assume empty values are an attempt to unset a parameter; however '${param}' cannot be unset.`,
      param,
    );
  }
  return value;
}

function refuseUnknown(
  form: FormMap,
  read: ReadonlySet<string>,
  param: (name: string) => string,
): void {
  const unknown = Object.keys(form).find((name) => !read.has(name));
  if (unknown === undefined) return;
  throw badParam(
    `Received unknown parameter: ${param(unknown)}`,
    param(unknown),
    "parameter_unknown",
  );
}

/** Wraps a decoded form. `prefix` is the parameter path used in error messages. */
export function fieldsOf(form: FormMap, prefix = ""): Fields {
  const read = new Set<string>();
  const children: Fields[] = [];
  const param = (name: string): string => (prefix === "" ? name : `${prefix}[${name}]`);
  const get = (name: string): FormValue | undefined => {
    read.add(name);
    return form[name];
  };
  const text = (name: string): string | undefined => {
    const value = get(name);
    if (typeof value === "object") throw badParam(`Invalid string: ${param(name)}`, param(name));
    return value;
  };
  /** An empty string counts as absent. */
  const filled = (name: string): string | undefined => text(name) || undefined;
  const int = (name: string): number | undefined => {
    const value = filled(name);
    return value === undefined ? undefined : parseWhole(value, param(name));
  };
  const child = (value: FormMap, path: string): Fields => {
    const made = fieldsOf(value, path);
    children.push(made);
    return made;
  };
  return {
    has: (name) => form[name] !== undefined,
    text,
    needText: (name) => needed(text(name), param(name)),
    int,
    needInt: (name) => needed(int(name), param(name)),
    bool: (name) => {
      const value = filled(name);
      return value === undefined ? undefined : parseFlag(value, param(name));
    },
    oneOf: (name, allowed) => {
      const value = filled(name);
      return value === undefined ? undefined : parseOneOf(value, allowed, param(name));
    },
    map: (name) => {
      const value = get(name) || undefined;
      if (value === undefined) return undefined;
      if (typeof value !== "object") throw badParam("Invalid object", param(name));
      return child(value, param(name));
    },
    maps: (name) =>
      itemsOf(get(name), param(name)).map(([path, item]) => {
        if (typeof item !== "object") throw badParam("Invalid array", param(name));
        return child(item, path);
      }),
    texts: (name) =>
      itemsOf(get(name), param(name)).map(([, item]) => {
        if (typeof item !== "string") throw badParam("Invalid array", param(name));
        return item;
      }),
    metadata: (name = "metadata") => parseMetadata(get(name), param(name)),
    ignore: (...names) => {
      for (const name of names) read.add(name);
    },
    param,
    done: () => {
      refuseUnknown(form, read, param);
      for (const made of children) made.done();
    },
  };
}

/** Merges metadata as Stripe does: the given keys win, and an empty string removes a key. */
export function mergeMetadata(current: Metadata, given: Metadata | undefined): Metadata {
  const merged = { ...current, ...given };
  for (const [key, value] of Object.entries(merged)) if (value === "") delete merged[key];
  return merged;
}
