// Text from outside: compared and trimmed as its protocol defines, and cut between characters.

/**
 * Returns `text` without leading and trailing spaces and tabs (the "optional whitespace" of RFC 9110 5.6.3).
 * `String.trim` would also remove 0xA0 and U+FEFF, so that a name padded with them would pass for another.
 */
export function trimOptionalWhitespace(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, "");
}

/**
 * Returns `text` with A-Z in lower case and nothing else changed: `toLowerCase` turns the Kelvin sign (U+212A) into a
 * plain k.
 */
export function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Whether the percent-encoding of `text` is valid: an invalid one must not be guessed at. */
export function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

const characters = new Intl.Segmenter("en", { granularity: "grapheme" });

/**
 * Returns at most the first `maxLength` UTF-16 units of `text`, ending at the end of a character as people see it. A
 * lone surrogate becomes U+FFFD. A single character longer than `maxLength` is cut between code points.
 */
export function cutText(text: string, maxLength: number): string {
  // A little more than fits shows where the last character ends; what follows is never inspected.
  const whole = text.slice(0, maxLength + 64).replace(/\p{Cs}/gu, "\u{fffd}");
  if (whole.length <= maxLength) return whole;
  // A single look-up: iterating up to there costs some hundred times as much, a tenth of a second for a deck's long
  // bullets.
  const end = characters.segment(whole).containing(maxLength)?.index ?? 0;
  if (end > 0) return whole.slice(0, end);
  return whole.slice(0, maxLength).replace(/\p{Cs}$/u, "");
}
