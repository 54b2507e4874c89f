// The `auth` procedures: input, output and one service call each (shared/src/auth.ts).
import { authContract } from "../../shared/src/auth.ts";
import { clearRefreshCookie, type Context } from "../trpc/context.ts";
import { publicProcedure, router, userProcedure } from "../trpc/trpc.ts";
import type { RefreshRequest } from "../auth/auth.types.ts";

const NO_STORE = ["Cache-Control", "no-store"] as const;

function refreshRequest(
  ctx: Context,
  input: { refreshToken?: string } | undefined,
): RefreshRequest {
  const { refreshCookies, origin, userAgent, ip } = ctx.request;
  const hasDisconnected = () => ctx.request.hasDisconnected;
  return { refreshCookies, bodyToken: input?.refreshToken, origin, userAgent, ip, hasDisconnected };
}

export const authRouter = router({
  config: publicProcedure
    .meta({ rest: { route: "GET /api/auth/config", summary: "List the ways to sign in" } })
    .input(authContract.config.input)
    .output(authContract.config.output)
    .query(({ ctx }) => ctx.services.auth.config()),

  refresh: publicProcedure
    .meta({
      tier: "refresh",
      setsCookie: true,
      rest: {
        route: "POST /api/auth/refresh",
        summary:
          "Exchange the refresh cookie, or the refreshToken in the body, for an access token",
        errors: ["UNAUTHENTICATED", "TOKEN_EXPIRED", "SESSION_REVOKED", "REFRESH_REUSED"],
        takesCookie: true,
      },
    })
    .input(authContract.refresh.input)
    .output(authContract.refresh.output)
    .mutation(async ({ ctx, input }) => {
      ctx.reply.setHeader(...NO_STORE);
      const { accessToken, expiresAt, ...renewed } = await ctx.services.auth.refresh(
        refreshRequest(ctx, input),
      );
      if (renewed.transport === "body") {
        return { accessToken, expiresAt, refreshToken: renewed.refreshToken };
      }
      ctx.reply.setRefreshCookie(renewed.refreshToken, renewed.maxAgeSeconds);
      return { accessToken, expiresAt };
    }),

  logout: publicProcedure
    .meta({
      tier: "refresh",
      logout: true,
      setsCookie: true,
      rest: {
        route: "POST /api/auth/logout",
        summary: "End the session of the refresh cookie, or of the refreshToken in the body",
        takesCookie: true,
      },
    })
    .input(authContract.logout.input)
    .output(authContract.logout.output)
    .mutation(async ({ ctx, input }) => {
      await ctx.services.auth.logout(refreshRequest(ctx, input));
      clearRefreshCookie(ctx);
      return {};
    }),

  logoutAll: userProcedure
    .meta({
      logout: true,
      setsCookie: true,
      rest: {
        route: "POST /api/auth/logout-all",
        summary: "End every session of the signed-in user",
      },
    })
    .input(authContract.logoutAll.input)
    .output(authContract.logoutAll.output)
    .mutation(async ({ ctx }) => {
      const answer = await ctx.services.auth.logoutAll(ctx.user);
      clearRefreshCookie(ctx);
      return answer;
    }),

  me: userProcedure
    .meta({
      rest: { route: "GET /api/auth/me", summary: "Get the signed-in user", errors: ["NOT_FOUND"] },
    })
    .input(authContract.me.input)
    .output(authContract.me.output)
    .query(({ ctx }) => ctx.services.user.profile(ctx.user)),

  sessions: userProcedure
    .meta({ rest: { route: "GET /api/auth/sessions", summary: "List the active sessions" } })
    .input(authContract.sessions.input)
    .output(authContract.sessions.output)
    .query(({ ctx }) => ctx.services.auth.sessions(ctx.user)),

  revokeSession: userProcedure
    .meta({
      rest: {
        route: "DELETE /api/auth/sessions/{sessionId}",
        summary: "End one session",
        errors: ["NOT_FOUND"],
      },
    })
    .input(authContract.revokeSession.input)
    .output(authContract.revokeSession.output)
    .mutation(async ({ ctx, input }) => {
      await ctx.services.auth.revokeSession(ctx.user, input);
      return {};
    }),
});
