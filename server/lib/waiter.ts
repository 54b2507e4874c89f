// A wait that can be cut short.

/** Made by createWaiter. */
export type Waiter = ReturnType<typeof createWaiter>;

/** Creates a waiter that does not wait once `signal` is aborted. */
export function createWaiter(signal: AbortSignal) {
  let woken = false;
  let resume: (() => void) | null = null;
  const wake = () => {
    woken = true;
    resume?.();
  };
  signal.addEventListener("abort", wake);
  return {
    /** Ends the wait in progress, or else makes the next one end immediately. */
    wake,
    /** Stops listening to the signal. */
    close: () => signal.removeEventListener("abort", wake),
    /** Waits for `ms`, or until woken or aborted. Resolves to false when the time ran out first. */
    async wait(ms: number): Promise<boolean> {
      if (!woken && !signal.aborted) {
        let timer: NodeJS.Timeout | undefined;
        await new Promise<void>((resolve) => {
          resume = resolve;
          timer = setTimeout(resolve, ms);
        });
        clearTimeout(timer);
        resume = null;
      }
      const wasWoken = woken || signal.aborted;
      woken = false;
      return wasWoken;
    },
  };
}
