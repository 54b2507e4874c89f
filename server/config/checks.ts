// Checks of single values that several variables share, and functions that find the secret part of a text.
import { httpUrl, isLoopback, list } from "./fields.ts";
import { type CheckContext, type Finding, problem, warning, weak } from "./variable.ts";
import { isPlaceholder, findWeakness } from "./weak-secrets.ts";

/** The whole text is the secret. */
export const wholeText = (text: string): string[] => [text];

/** Returns the password in an address, decoded; an empty array if there is none. */
export function passwordOf(address: string): string[] {
  if (!URL.canParse(address)) return [];
  const { password } = new URL(address);
  if (password === "") return [];
  try {
    return [decodeURIComponent(password)];
  } catch {
    return [password];
  }
}

/** Refuses a list without entries, which would be no secret at all. */
export function checkNotEmptyList(text: string, { howToGet }: CheckContext): Finding[] {
  return list(text).length > 0 ? [] : [problem(`is an empty list: ${howToGet}`)];
}

/** Checks token secrets, the first of which signs: none of them may be guessable. */
export function checkTokenSecrets(text: string, context: CheckContext): Finding[] {
  const guessable = list(text).flatMap((value, index) => {
    const reason = findWeakness(value);
    const which = index === 0 ? "" : `(entry ${index + 1}) `;
    return reason === null ? [] : [weak(`${which}${reason}: ${context.howToGet}`)];
  });
  return [...checkNotEmptyList(text, context), ...guessable];
}

/** Refuses, in production, text left over from an example. */
export function checkPlaceholder(text: string, { production, howToGet }: CheckContext): Finding[] {
  return production && isPlaceholder(text) ? [problem(`is a placeholder: ${howToGet}`)] : [];
}

/** Checks the address of a service that receives our secrets: https, and in production on another machine. */
export function checkServiceAddress(text: string, { production }: CheckContext): Finding[] {
  const address = httpUrl(text);
  if (!address) return [];
  if (address.protocol === "http:" && !isLoopback(address))
    return [problem("is plain http: secrets would travel in the clear; use https")];
  return production && isLoopback(address)
    ? [warning("points at this machine: a sandbox, not the real service")]
    : [];
}
