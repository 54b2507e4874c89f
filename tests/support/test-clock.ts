// The clock of an app under test.

/** A clock that tests move. */
export interface TestClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** How far it has been moved ahead of where it would otherwise be. */
  aheadMs: number;
}

/**
 * Creates a clock that starts at the real time or at `startAt`. Unless moved it runs, is frozen, or advances one
 * millisecond per reading (stepping), so that nothing expires merely because the machine is slow.
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
