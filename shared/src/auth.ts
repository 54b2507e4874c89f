// The contract of the `auth` procedures: who is signed in, with which sessions.
import { z } from "zod";
import { credits, empty, id, isoDate, nothing, text } from "./primitives.ts";
import { mutation, query } from "./procedure.ts";

export const ROLES = ["USER", "ADMIN"] as const;
export const role = z.enum(ROLES);
/** USER or ADMIN. */
export type Role = z.infer<typeof role>;

/** A person as they see themselves. */
export const user = z.object({
  id,
  email: z.string(),
  name: z.string().nullable(),
  avatar: z.string().nullable(),
  role,
  credits,
  createdAt: isoDate,
});

/** For clients without cookies; a browser sends its cookie instead. A malformed token gets the 401 of a wrong one. */
const refreshTokenInput = z.strictObject({ refreshToken: text().max(1024).optional() }).optional();

export const authContract = {
  config: query({
    input: nothing,
    output: z.object({
      providers: z.array(z.object({ id: z.literal("google"), url: z.string() })),
      sandbox: z.boolean(),
    }),
  }),
  refresh: mutation({
    input: refreshTokenInput,
    output: z.object({
      accessToken: z.string(),
      expiresAt: isoDate,
      refreshToken: z.string().optional(),
    }),
  }),
  logout: mutation({ input: refreshTokenInput, output: empty }),
  logoutAll: mutation({
    input: nothing,
    output: z.object({ revoked: z.int() }),
  }),
  me: query({ input: nothing, output: z.object({ user }) }),
  sessions: query({
    input: nothing,
    output: z.object({
      sessions: z.array(
        z.object({
          id,
          current: z.boolean(),
          userAgent: z.string().nullable(),
          ipAddress: z.string().nullable(),
          createdAt: isoDate,
          lastUsedAt: isoDate,
          expiresAt: isoDate,
        }),
      ),
    }),
  }),
  revokeSession: mutation({
    input: z.strictObject({ sessionId: id }),
    output: empty,
  }),
};
