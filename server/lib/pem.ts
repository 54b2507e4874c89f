// Reads certificates in PEM form, as found in files and environment variables.
import { X509Certificate } from "node:crypto";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Returns the certificates in a text, one PEM after another; null when there is none, or one that cannot be parsed. A
 * backslash followed by an n counts as a line break, because many platforms store multi-line variables that way.
 */
export function readCertificates(text: string): string | null {
  const blocks = text.replaceAll("\\n", "\n").match(CERTIFICATE) ?? [];
  try {
    for (const block of blocks) void new X509Certificate(block);
  } catch {
    return null;
  }
  return blocks.length === 0 ? null : `${blocks.join("\n")}\n`;
}
