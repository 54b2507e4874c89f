// Checks of single values that several variables share, and how the secret part of a text is found.
import { httpUrl, isLoopback, list } from "./fields.ts";
import { type CheckContext, type Finding, problem, warning, weak } from "./variable.ts";
import { isPlaceholder, findWeakness } from "./weak-secrets.ts";

/** The whole text is the secret. */
export const wholeText = (text: string): string[] => [text];

/** The password of an address. */
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

/** A list without an entry would be no secret at all. */
export function checkNotEmptyList(text: string, { howToGet }: CheckContext): Finding[] {
  return list(text).length > 0 ? [] : [problem(`is an empty list: ${howToGet}`)];
}

/** Token secrets, the first of which signs: none of them may be guessable. */
export function checkTokenSecrets(text: string, context: CheckContext): Finding[] {
  const guessable = list(text).flatMap((value, index) => {
    const reason = findWeakness(value);
    const which = index === 0 ? "" : `(entry ${index + 1}) `;
    return reason === null ? [] : [weak(`${which}${reason}: ${context.howToGet}`)];
  });
  return [...checkNotEmptyList(text, context), ...guessable];
}

/** Text left over from an example works in development alone. */
export function checkPlaceholder(text: string, { production, howToGet }: CheckContext): Finding[] {
  return production && isPlaceholder(text) ? [problem(`is a placeholder: ${howToGet}`)] : [];
}

/** The address of a service that gets secrets of ours: https, and in production another machine's. */
export function checkServiceAddress(text: string, { production }: CheckContext): Finding[] {
  const address = httpUrl(text);
  if (!address) return [];
  if (address.protocol === "http:" && !isLoopback(address))
    return [problem("is plain http: secrets would travel in the clear; use https")];
  return production && isLoopback(address)
    ? [warning("points at this machine: a sandbox, not the real service")]
    : [];
}
