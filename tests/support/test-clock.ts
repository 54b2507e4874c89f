// The clock of an app under test.

/** A clock that tests move. */
export interface TestClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** How far it was moved from where it would be by itself. */
  aheadMs: number;
}

/**
 * A clock that shows the real time, or starts at `startAt`, until it is moved. By itself it runs, or is frozen, or stands
 * still but for a millisecond a look (stepping), so that a slow machine cannot let anything expire by itself.
 */
export function createTestClock(
  kind: "running" | "frozen" | "stepping" = "running",
  startAt?: Date,
): TestClock {
  const openedAt = Date.now();
  let looks = 0;
  const byItself = {
    running: Date.now,
    frozen: () => openedAt,
    stepping: () => openedAt + (looks += 1),
  }[kind];
  const aheadMs = startAt === undefined ? 0 : startAt.getTime() - openedAt;
  const clock = { aheadMs, now: () => byItself() + clock.aheadMs };
  return clock;
}
