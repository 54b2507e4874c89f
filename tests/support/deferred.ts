// A promise that is resolved from outside.

/** Returns a promise together with the function that resolves it. */
export function deferred() {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
