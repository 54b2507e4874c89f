// Owns the `user` procedures: input, output and one service call each (shared/src/user.ts).
import { userContract } from "../../shared/src/user.ts";
import { router, userProcedure } from "../trpc/trpc.ts";

export const userRouter = router({
  profile: userProcedure
    .input(userContract.profile.input)
    .output(userContract.profile.output)
    .query(({ ctx }) => ctx.services.user.profile(ctx.user)),

  update: userProcedure
    .input(userContract.update.input)
    .output(userContract.update.output)
    .mutation(({ ctx, input }) => ctx.services.user.update(ctx.user, input)),

  export: userProcedure
    .meta({ tier: "export" })
    .input(userContract.export.input)
    .output(userContract.export.output)
    .query(({ ctx, signal }) => ctx.services.user.export(ctx.user, signal)),

  delete: userProcedure
    .input(userContract.delete.input)
    .output(userContract.delete.output)
    .mutation(async ({ ctx, input }) => {
      await ctx.services.user.delete(ctx.user, input);
      if (ctx.request.refreshCookies.length > 0) ctx.reply.setRefreshCookie(null, 0);
      return {};
    }),
});
