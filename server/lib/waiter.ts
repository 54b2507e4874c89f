// A wait that others may cut short.

/** Waits, one after another. */
export interface Waiter {
  /** Ends the wait that is under way, or else the next one at once. */
  wake(): void;
  /** Waits `ms`, or until woken or aborted. */
  wait(ms: number): Promise<void>;
  /** Lets go of the signal. */
  close(): void;
}

/** Returns a waiter that does not wait once `signal` is aborted. */
export function createWaiter(signal: AbortSignal): Waiter {
  let woken = false;
  let resume: (() => void) | null = null;
  const wake = () => {
    woken = true;
    resume?.();
  };
  signal.addEventListener("abort", wake);
  return {
    wake,
    close: () => signal.removeEventListener("abort", wake),
    async wait(ms) {
      if (!woken && !signal.aborted) {
        let timer: NodeJS.Timeout | undefined;
        await new Promise<void>((resolve) => {
          resume = resolve;
          timer = setTimeout(resolve, ms);
        });
        clearTimeout(timer);
        resume = null;
      }
      woken = false;
    },
  };
}
