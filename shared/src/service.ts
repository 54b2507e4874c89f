// The contract of the `service` procedures: AI workers that spend on a user's behalf.
import { z } from "zod";
import { spendResult } from "./credit.ts";
import { feature } from "./features.ts";
import { credits, id, idempotencyKey, isoDate, positiveCredits } from "./primitives.ts";
import { mutation } from "./procedure.ts";

export const serviceContract = {
  reserve: mutation({
    input: z
      .strictObject({
        userId: id,
        feature: feature.optional(),
        amount: positiveCredits.optional(),
        idempotencyKey,
        ttlSeconds: z.int().min(1).max(86_400).default(600),
      })
      .refine((input) => (input.feature === undefined) !== (input.amount === undefined), {
        error: "Give either feature or amount.",
        path: ["amount"],
      }),
    output: z.object({
      holdId: id,
      amount: credits,
      expiresAt: isoDate,
      available: credits,
    }),
  }),
  settle: mutation({
    input: z.strictObject({
      holdId: id,
      amount: z.int().min(0).max(1_000_000_000).optional(),
    }),
    output: z.object({
      holdId: id,
      charged: credits,
      transactionId: id.nullable(),
      available: credits,
    }),
  }),
  release: mutation({
    input: z.strictObject({ holdId: id }),
    output: z.object({ holdId: id, available: credits }),
  }),
  spend: mutation({
    input: z.strictObject({ userId: id, feature, idempotencyKey }),
    output: spendResult,
  }),
};
