// The contract of the `user` procedures: the profile, the data export, deleting the account.
import { z } from "zod";
import { user } from "./auth.ts";
import { empty, nothing, plainText, text } from "./primitives.ts";
import { mutation, query } from "./procedure.ts";

export const userContract = {
  profile: query({ input: nothing, output: z.object({ user }) }),
  update: mutation({
    input: z.strictObject({
      name: plainText(200).optional(),
      avatar: z
        .url({ protocol: /^https$/, error: "Use an https:// address." })
        .max(2048)
        .regex(/^[^\p{Cc}\p{Cs}]*$/u, "Control characters are not allowed.")
        .nullable()
        .optional(),
    }),
    output: z.object({ user }),
  }),
  /**
   * Everything stored about the caller, as one JSON document. Lists are complete, not paged; one that is cut, after
   * 100,000 rows or because the document has reached 32 MB, is named in `incomplete`. One export at a time.
   */
  export: query({ input: nothing, output: z.record(z.string(), z.unknown()) }),
  delete: mutation({
    input: z.strictObject({ confirmEmail: text().max(320) }),
    output: empty,
  }),
};
