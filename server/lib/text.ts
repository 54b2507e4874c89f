// Owns how text from outside is trimmed and folded: by the rules of its protocol, never by Unicode's.

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
