// What /ready takes while everything it looks at hangs: whoever probes does not wait long.
import { afterEach, expect, it, vi } from "vitest";
import { createReadiness } from "../../server/health/readiness.ts";
import { silent } from "../support/silent.ts";

afterEach(() => void vi.useRealTimers());

it.each([
  ["the database answers a first question, and nothing else", true],
  ["nothing answers", false],
])("answers within the limit of one look where %s", async (_what, isReadable) => {
  vi.useFakeTimers();
  const up = { status: "up" } as const;
  const hang = () => new Promise<never>(() => undefined);
  const readiness = createReadiness({
    backend: {
      check: () => (isReadable ? Promise.resolve({ database: up, redis: up }) : hang()),
      probeWrite: hang,
      diskSpace: hang,
    },
    stripe: null,
    clocks: [],
    backlog: hang,
    lastDoctor: hang,
    isShuttingDown: () => false,
    workers: () => ({ wanted: 1, listening: 1, started: true }),
    logger: silent,
  });
  const answer = vi.fn();
  void readiness().then(answer);
  await vi.advanceTimersByTimeAsync(1_500);
  expect(answer).toHaveBeenCalledOnce();
  const readinessThen = answer.mock.calls[0]?.[0] as unknown;
  expect(readinessThen).toMatchObject({ ready: isReadable, events: null, doctor: null });
});
