// Reads certificates in PEM form, as files and environment variables hold them.
import { X509Certificate } from "node:crypto";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * The certificates of a text, one PEM after another; null when there is none, or one that cannot be read. A backslash
 * and an n count as a line's end: that is how many platforms keep a variable of several lines.
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
