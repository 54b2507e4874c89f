// Time as this process experiences it. A busy machine delays timers, and each such delay counts as one beat, however
// long it was. Work of our own that delays them counts by the CPU time it takes.

const BEAT_MS = 10;

/** Resolves with the result of `work` and how many milliseconds of our own time it took. */
export async function timed<Answer>(
  work: () => Promise<Answer>,
): Promise<{ readonly answer: Answer; readonly tookMs: number }> {
  let beats = 0;
  const beating = setInterval(() => (beats += 1), BEAT_MS);
  const cpuBefore = process.cpuUsage();
  try {
    const answer = await work();
    const { user, system } = process.cpuUsage(cpuBefore);
    return { answer, tookMs: Math.max(beats * BEAT_MS, (user + system) / 1_000) };
  } finally {
    clearInterval(beating);
  }
}

/** Resolves with the result of `work`. Throws if it took more than `limitMs` of our own time. */
export async function within<Answer>(
  limitMs: number,
  work: () => Promise<Answer>,
): Promise<Answer> {
  const { answer, tookMs } = await timed(work);
  if (tookMs > limitMs) throw new Error(`It took ${Math.round(tookMs)} ms, not ${limitMs}.`);
  return answer;
}
