// Owns the names of what credits are spent on. To add a paid feature, start here (README, "A feature that costs credits").
import { z } from "zod";

/** Every feature that costs credits. Its price comes from the server's environment. */
export const FEATURES = ["chat-flash", "chat-pro", "ppt-generate", "ppt-edit"] as const;

/** A feature that costs credits. */
export type Feature = (typeof FEATURES)[number];

/** One of FEATURES. */
export const feature = z.enum(FEATURES);
