// A wait that others may cut short.

/** Made by createWaiter. */
export type Waiter = ReturnType<typeof createWaiter>;

/** Returns a waiter that does not wait once `signal` is aborted. */
export function createWaiter(signal: AbortSignal) {
  let woken = false;
  let resume: (() => void) | null = null;
  const wake = () => {
    woken = true;
    resume?.();
  };
  signal.addEventListener("abort", wake);
  return {
    /** Ends the wait that is under way, or else the next one at once. */
    wake,
    /** Lets go of the signal. */
    close: () => signal.removeEventListener("abort", wake),
    /** Waits `ms`, or until woken or aborted. False when its time was over first. */
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
