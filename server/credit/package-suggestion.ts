// Suggests a package to users who are short of credits.
import { AppError, isAppError } from "../lib/errors.ts";

/** Runs `work`, and adds the package that `suggest` finds for the shortfall to an INSUFFICIENT_CREDITS error. */
export async function withPackageSuggestion<T>(
  suggest: (shortfallCredits: number) => Promise<string | null>,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isAppError(error, "INSUFFICIENT_CREDITS")) throw error;
    const suggestedPackageId = await suggest(error.details.shortfall).catch(() => null);
    throw AppError.of("INSUFFICIENT_CREDITS", error.message, {
      ...error.details,
      suggestedPackageId,
    });
  }
}
