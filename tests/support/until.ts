// Waits until a condition holds.
import { setTimeout as sleep } from "node:timers/promises";

/** Polls `look` until it returns true. Rejects with what it throws or, on timeout, with the message of `otherwise`. */
export async function until(
  look: () => boolean | Promise<boolean>,
  { withinMs = 60_000, everyMs = 50, otherwise = (): string => "It did not come about." } = {},
): Promise<void> {
  const giveUpAtMs = Date.now() + withinMs;
  while (!(await look())) {
    if (Date.now() > giveUpAtMs) throw new Error(otherwise());
    await sleep(everyMs);
  }
}

/** Waits until nothing answers at `url` any more. */
export const untilSilent = (url: string, withinMs = 60_000): Promise<void> =>
  until(
    async () => {
      const answer = await fetch(url).catch(() => null);
      await answer?.body?.cancel();
      return answer === null;
    },
    { withinMs, otherwise: () => `${url} answers still.` },
  );
