// Time as this process has it. A machine busy with something else holds timers back, and what is held back counts once,
// however long it was; work of our own that holds them back counts by the CPU it takes.

const BEAT_MS = 10;

/** What `work` answers, and how many milliseconds of our own it took. */
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

/** What `work` answers. Throws where that took longer than `limitMs` of our own time. */
export async function within<Answer>(
  limitMs: number,
  work: () => Promise<Answer>,
): Promise<Answer> {
  const { answer, tookMs } = await timed(work);
  if (tookMs > limitMs) throw new Error(`It took ${Math.round(tookMs)} ms, not ${limitMs}.`);
  return answer;
}
