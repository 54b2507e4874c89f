// Formats numbers, money and dates.

const whole = new Intl.NumberFormat();

/** `1234` → `1,234`. */
export function number(value: number): string {
  return whole.format(value);
}

/** `1` → `1 credit`, `500` → `500 credits`. */
export function credits(value: number): string {
  return `${whole.format(value)} ${Math.abs(value) === 1 ? "credit" : "credits"}`;
}

/** Minor units as money: `500, "usd"` → `$5.00`; `500, "jpy"` → `¥500`. */
export function money(minorUnits: number, currency: string): string {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(minorUnits / 10 ** moneyDigits(currency));
}

/** The number of decimals of `currency`: 2 for `usd`, 0 for `jpy`. */
export function moneyDigits(currency: string): number {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.resolvedOptions().maximumFractionDigits ?? 2;
}

/** `2026-11-22T…` → `22 Nov 2026`, in the format of the user's locale. */
export function date(iso: string): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(new Date(iso));
}

/** Date and time to the minute. */
export function dateTime(iso: string): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(
    new Date(iso),
  );
}

/** A calendar day `2026-11-22` as `22 Nov`, without a time zone shift. */
export function day(isoDay: string): string {
  return new Intl.DateTimeFormat(undefined, {
    day: "numeric",
    month: "short",
    timeZone: "UTC",
  }).format(new Date(`${isoDay}T00:00:00Z`));
}

/** The user's time zone; `UTC` when the browser does not report one. */
export function timeZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** A new idempotency key. Works on plain http too, where `crypto.randomUUID` does not exist. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
