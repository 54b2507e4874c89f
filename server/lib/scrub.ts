// Removes secrets from text before it is logged or kept: configured ones, and anything that looks like a key or token.

const HIDDEN = "[redacted]";
/** A configured value shorter than this would remove ordinary words from every line. */
const MIN_SECRET_LENGTH = 8;

/** Keys and tokens, by the formats their issuers use. */
const KEY_LIKE = new RegExp(
  [
    // Stripe: secret, restricted and webhook keys; a client secret of a payment.
    /\b(?:sk|rk)_(?:test|live)_[A-Za-z0-9*]{4,}/,
    /\bwhsec_[A-Za-z0-9+/=_-]{4,}/,
    /\b(?:pi|seti|cs)_[A-Za-z0-9_]+_secret_[A-Za-z0-9]+/,
    // Ours, Google's, OpenAI's.
    /\bskr_[A-Za-z0-9_-]{20,}/,
    /\bGOCSPX-[A-Za-z0-9_-]{6,}/,
    /\bya29\.[A-Za-z0-9_-]{10,}/,
    /\bsk-[A-Za-z0-9_-]{16,}/,
    // Any JWT, and whatever an Authorization header carries.
    /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)*/,
    /\b(?:Bearer|Basic) +[A-Za-z0-9._~+/=-]{8,}/,
  ]
    .map((pattern) => pattern.source)
    .join("|"),
  "g",
);
/** The password in a URL: `redis://user:password@host`. */
const ADDRESS_PASSWORD =
  /\b([a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/?#@"\\]{0,100}):[^\s/?#@"\\]{1,200}@/gi;
/** Card numbers, written without separators or in groups of four. */
const CARD = /\b\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}\b/g;

/** Fields whose name marks their value as secret, at any depth of a JSON line. */
const SECRET_FIELD =
  /"((?:[\w-]*(?:secret|password|passwd|authorization|cookie|signature|api[_-]?key|token)|codeVerifier|code_verifier|id_token_hint))":(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\{[^{}]*\}|-?\d[\d.eE+-]*)/gi;

/** Removes secrets from text. */
export type Scrub = (text: string) => string;

/**
 * Creates a scrubber that also removes the configured `secrets`: in plain text, as escaped in JSON, and
 * percent-encoded.
 */
export function createScrub(secrets: readonly string[] = []): Scrub {
  const known = [...new Set(secrets.filter((secret) => secret.length >= MIN_SECRET_LENGTH))]
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])
    .sort((a, b) => b.length - a.length);
  const spellings = [...new Set(known)];
  return (text) => {
    let scrubbed = text;
    for (const secret of spellings) {
      if (scrubbed.includes(secret)) scrubbed = scrubbed.replaceAll(secret, HIDDEN);
    }
    return scrubbed
      .replace(KEY_LIKE, HIDDEN)
      .replace(ADDRESS_PASSWORD, `$1:${HIDDEN}@`)
      .replace(CARD, (digits) => (isCardNumber(digits) ? HIDDEN : digits));
  };
}

/** Returns a JSON log line without the values of secret-bearing fields, however deeply nested. */
export function redactFields(line: string): string {
  return line.replace(SECRET_FIELD, (_all, name: string) => `"${name}":"${HIDDEN}"`);
}

/** Luhn's check, which spares most ids and times with as many digits. */
function isCardNumber(text: string): boolean {
  const digits = text.replace(/\D/g, "");
  if (digits.length < 13) return false;
  let sum = 0;
  for (let index = 0; index < digits.length; index++) {
    const digit = Number(digits[digits.length - 1 - index]) * (index % 2 === 0 ? 1 : 2);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 === 0;
}
