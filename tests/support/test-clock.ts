// The clock of an app under test.

/** A clock that tests move. */
export interface TestClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** How far it was moved from where it would be by itself. */
  aheadMs: number;
}

/** What the clock does by itself. */
export type ClockKind =
  | "running"
  /** Stands still. */
  | "frozen"
  /** Stands still but for a millisecond a look, so that a slow machine cannot let anything expire by itself. */
  | "stepping";

/** A clock that shows the real time, or starts at `startAt`, until it is moved. */
export function createTestClock(kind: ClockKind = "running", startAt?: Date): TestClock {
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
