// This machine's clock, compared with the Date header (RFC 9110, 6.6.1) of servers that are not ours.
import type { DependencyState } from "../lib/dependency-state.ts";

const ANSWER_WITHIN_MS = 5_000;
/** From here on sign-ins and short-lived tokens begin to be affected. */
const DEGRADED_FROM_SECONDS = 30;
/** From 300 s on Stripe's signatures are refused, and so are our own tokens on instances whose clock is right. */
const DOWN_FROM_SECONDS = 240;
/** A Date header has whole seconds, so on average it is half a second behind. */
const HALF_SECOND_MS = 500;

/**
 * Returns by how many seconds this machine's clock is ahead of those of `urls` (negative: behind). The smallest
 * difference counts, because any of those clocks may be wrong itself. Null when none replied. Sends no credentials.
 */
export async function clockSkewSeconds(urls: readonly URL[]): Promise<number | null> {
  const skews = await Promise.all(urls.map((url) => skewAgainst(url).catch(() => null)));
  const known = skews.filter((skew) => skew !== null);
  return known.sort((a, b) => Math.abs(a) - Math.abs(b))[0] ?? null;
}

async function skewAgainst(url: URL): Promise<number | null> {
  const askedAtMs = Date.now();
  const answer = await fetch(url, {
    method: "HEAD",
    redirect: "manual",
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  const middleMs = (askedAtMs + Date.now()) / 2;
  const saidMs = Date.parse(answer.headers.get("date") ?? "");
  return Number.isNaN(saidMs) ? null : (middleMs - saidMs - HALF_SECOND_MS) / 1000;
}

/** Returns the state that a skew means; null = no server could be asked. */
export function clockState(skewSeconds: number | null): DependencyState {
  if (skewSeconds === null) return { status: "up", detail: "Not compared with any other yet." };
  const offSeconds = Math.round(Math.abs(skewSeconds));
  if (offSeconds < DEGRADED_FROM_SECONDS) return { status: "up" };
  const way = skewSeconds > 0 ? "ahead" : "behind";
  return {
    status: offSeconds < DOWN_FROM_SECONDS ? "degraded" : "down",
    detail: `This machine's clock is ${offSeconds} s ${way} of Stripe's, Google's or the model provider's.`,
    action: "Synchronise this machine's clock (chronyc tracking, timedatectl set-ntp true).",
  };
}
