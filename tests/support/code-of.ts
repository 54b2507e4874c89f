// How a piece of work was refused.
import { isAppError } from "../../server/lib/errors.ts";

/** The code an AppError was thrown with, or OK. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "OK";
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
}
