// Waiting for what comes about by itself.
import { setTimeout as sleep } from "node:timers/promises";

/** Looks again and again until `look` says yes. What it throws ends the waiting, as does the time: in the words of `otherwise`. */
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

/** Waits until nobody answers at `url` any more. */
export const untilSilent = (url: string, withinMs = 60_000): Promise<void> =>
  until(
    async () => {
      const answer = await fetch(url).catch(() => null);
      await answer?.body?.cancel();
      return answer === null;
    },
    { withinMs, otherwise: () => `${url} answers still.` },
  );
