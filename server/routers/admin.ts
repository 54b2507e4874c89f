// The `admin` procedures: input, output and one service call each (shared/src/admin.ts).
import { adminContract } from "../../shared/src/admin.ts";
import { adminProcedure, router } from "../trpc/trpc.ts";

export const adminRouter = router({
  users: adminProcedure
    .input(adminContract.users.input)
    .output(adminContract.users.output)
    .query(({ ctx, input }) => ctx.services.admin.users(input)),

  user: adminProcedure
    .input(adminContract.user.input)
    .output(adminContract.user.output)
    .query(({ ctx, input }) => ctx.services.admin.user(input)),

  adjustCredits: adminProcedure
    .input(adminContract.adjustCredits.input)
    .output(adminContract.adjustCredits.output)
    .mutation(({ ctx, input }) =>
      ctx.services.admin.adjustCredits(ctx.user, input, ctx.request.ip),
    ),

  setRole: adminProcedure
    .input(adminContract.setRole.input)
    .output(adminContract.setRole.output)
    .mutation(({ ctx, input }) => ctx.services.admin.setRole(ctx.user, input, ctx.request.ip)),

  disableUser: adminProcedure
    .input(adminContract.disableUser.input)
    .output(adminContract.disableUser.output)
    .mutation(({ ctx, input }) => ctx.services.admin.disableUser(ctx.user, input, ctx.request.ip)),

  enableUser: adminProcedure
    .input(adminContract.enableUser.input)
    .output(adminContract.enableUser.output)
    .mutation(({ ctx, input }) => ctx.services.admin.enableUser(ctx.user, input, ctx.request.ip)),

  refundPayment: adminProcedure
    .input(adminContract.refundPayment.input)
    .output(adminContract.refundPayment.output)
    .mutation(({ ctx, input }) =>
      ctx.services.admin.refundPayment(ctx.user, input, ctx.request.ip),
    ),

  events: adminProcedure
    .input(adminContract.events.input)
    .output(adminContract.events.output)
    .query(({ ctx, input }) => ctx.services.admin.events(input)),

  replayEvent: adminProcedure
    .input(adminContract.replayEvent.input)
    .output(adminContract.replayEvent.output)
    .mutation(({ ctx, input }) => ctx.services.admin.replayEvent(ctx.user, input, ctx.request.ip)),

  stats: adminProcedure
    .input(adminContract.stats.input)
    .output(adminContract.stats.output)
    .query(({ ctx, input }) => ctx.services.admin.stats(input)),
});
