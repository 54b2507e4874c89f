// Helpers that return the error a call failed with.
import { type AppError, isAppError } from "../../server/lib/errors.ts";

/** Returns the code of the AppError that `work` rejects with, or OK. */
export const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "OK",
    (error: unknown) => appErrorIn(error).code,
  );

/** Returns the code and details of the AppError that `work` throws synchronously, or OK. */
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
