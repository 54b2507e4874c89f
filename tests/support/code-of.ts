// How a piece of work was refused.
import { type AppError, isAppError } from "../../server/lib/errors.ts";

/** The code an AppError was thrown with, or OK. */
export const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "OK",
    (error: unknown) => appErrorIn(error).code,
  );

/** The code and details an AppError was thrown with at once, or OK. */
export function refusal(work: () => unknown): { code: string; details?: unknown } {
  try {
    work();
    return { code: "OK" };
  } catch (error) {
    const { code, details } = appErrorIn(error);
    return { code, details };
  }
}

function appErrorIn(error: unknown): AppError {
  if (isAppError(error)) return error;
  throw error;
}
