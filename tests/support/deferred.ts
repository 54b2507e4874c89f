// A promise that somebody else keeps.

/** A promise, and how it is resolved from outside. */
export function deferred() {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
