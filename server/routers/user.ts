// The `user` procedures: input, output and one service call each (shared/src/user.ts).
import { userContract } from "../../shared/src/user.ts";
import { clearRefreshCookie } from "../trpc/context.ts";
import { router, userProcedure } from "../trpc/trpc.ts";

export const userRouter = router({
  profile: userProcedure
    .meta({ rest: { route: "GET /api/user", summary: "Get the profile", errors: ["NOT_FOUND"] } })
    .input(userContract.profile.input)
    .output(userContract.profile.output)
    .query(({ ctx }) => ctx.services.user.profile(ctx.user)),

  update: userProcedure
    .meta({
      rest: {
        route: "PATCH /api/user",
        summary: "Change the name or the avatar",
        errors: ["NOT_FOUND"],
      },
    })
    .input(userContract.update.input)
    .output(userContract.update.output)
    .mutation(({ ctx, input }) => ctx.services.user.update(ctx.user, input)),

  export: userProcedure
    .meta({
      tier: "export",
      rest: {
        route: "GET /api/user/export",
        summary: "Export everything stored about the user",
        errors: ["NOT_FOUND"],
      },
    })
    .input(userContract.export.input)
    .output(userContract.export.output)
    .query(({ ctx, signal }) =>
      ctx.services.user.export(ctx.user, { signal, closed: ctx.reply.closed() }),
    ),

  delete: userProcedure
    .meta({
      setsCookie: true,
      rest: {
        route: "DELETE /api/user",
        summary: "Delete the account",
        errors: ["CONFLICT", "PAYMENT_PROVIDER_ERROR"],
      },
    })
    .input(userContract.delete.input)
    .output(userContract.delete.output)
    .mutation(async ({ ctx, input }) => {
      await ctx.services.user.delete(ctx.user, input);
      clearRefreshCookie(ctx);
      return {};
    }),
});
