// Text from outside: compared and trimmed as its protocol means, and cut between characters.

/**
 * `text` without the spaces and tabs around it (the "optional whitespace" of RFC 9110 5.6.3). `String.trim` would also
 * take 0xA0 and U+FEFF, so that a name padded with them would pass for another.
 */
export function trimOptionalWhitespace(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, "");
}

/** `text` with A-Z in lower case and nothing else changed: `toLowerCase` makes a plain k of the Kelvin sign (U+212A). */
export function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Whether the percent-encoding of `text` holds: what it does not mean must not be guessed. */
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
 * At most the first `maxLength` UTF-16 units of `text`, ending where a character as people see it ends. Half of a
 * surrogate pair that stands alone becomes U+FFFD. A single character longer than that is cut between code points.
 */
export function cutText(text: string, maxLength: number): string {
  // A little more than fits tells where the last character ends; what lies behind is not even looked at.
  const whole = text.slice(0, maxLength + 64).replace(/\p{Cs}/gu, "\u{fffd}");
  if (whole.length <= maxLength) return whole;
  // Asked for one place: walking there costs some hundred times as much, a tenth of a second for a deck's long bullets.
  const end = characters.segment(whole).containing(maxLength)?.index ?? 0;
  if (end > 0) return whole.slice(0, end);
  return whole.slice(0, maxLength).replace(/\p{Cs}$/u, "");
}
