// Finds variables that look like misspelled ones of ours: nothing reads them, so the mistake would go unnoticed.
import { VARIABLE_NAMES } from "./variables.ts";

/** Shorter names are too similar to those of other programs for a guess. */
const MIN_LENGTH_FOR_A_GUESS = 7;
const MIN_LENGTH_FOR_TWO_EDITS = 12;

const bare = (name: string): string => name.toUpperCase().replace(/[^A-Z0-9]/g, "");

/** Whether `edits` insertions, deletions, replacements or swaps of neighbours turn `a` into `b`. */
function isWithinEdits(a: string, b: string, edits: number): boolean {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  const [restA, restB] = [a.slice(at), b.slice(at)];
  if (restA === restB) return true;
  if (edits === 0) return false;
  const isSwap = restA.length > 1 && restA[0] === restB[1] && restA[1] === restB[0];
  return (
    isWithinEdits(restA.slice(1), restB, edits - 1) ||
    isWithinEdits(restA, restB.slice(1), edits - 1) ||
    isWithinEdits(restA.slice(1), restB.slice(1), edits - 1) ||
    (isSwap && isWithinEdits(restA.slice(2), restB.slice(2), edits - 1))
  );
}

function isLikelyTypo(name: string, ours: string): boolean {
  const [given, right] = [bare(name), bare(ours)];
  if (given === right) return true;
  if (right.length < MIN_LENGTH_FOR_A_GUESS || Math.abs(given.length - right.length) > 2)
    return false;
  return isWithinEdits(given, right, right.length < MIN_LENGTH_FOR_TWO_EDITS ? 1 : 2);
}

/** Returns a warning for each of `names` that was probably meant to be ours; `given` holds ours that are set. */
export function findMisspelledVariables(
  names: readonly string[],
  given: Readonly<Record<string, string>>,
): string[] {
  const ours = new Set<string>(VARIABLE_NAMES);
  return names.flatMap((name) => {
    if (ours.has(name)) return [];
    // A similar name beside the right one more often belongs to another program than is a mistake.
    const right = VARIABLE_NAMES.find(
      (candidate) =>
        isLikelyTypo(name, candidate) &&
        (given[candidate] === undefined || bare(name) === bare(candidate)),
    );
    return right === undefined ? [] : [`${name} has no effect: did you mean ${right}?`];
  });
}
