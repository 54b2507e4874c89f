// The `ai` procedures: input, output and one service call each (shared/src/ai.ts).
import { tracked } from "@trpc/server";
import { aiContract } from "../../shared/src/ai.ts";
import { trackedStreamOf } from "../trpc/stream.ts";
import { publicProcedure, router, userProcedure } from "../trpc/trpc.ts";

// A subscription called without a request (by the server itself) ends when its reader leaves.
const NEVER = new AbortController().signal;

export const aiRouter = router({
  models: publicProcedure
    .input(aiContract.models.input)
    .output(aiContract.models.output)
    .query(({ ctx }) => ctx.services.ai.models()),

  start: userProcedure
    .input(aiContract.start.input)
    .output(aiContract.start.output)
    .mutation(({ ctx, input }) => ctx.services.ai.start(ctx.user.userId, input)),

  stream: userProcedure
    .input(aiContract.stream.input)
    .output(trackedStreamOf(aiContract.stream.output))
    .subscription(async function* ({ ctx, input, signal }) {
      for await (const { id, event } of ctx.services.ai.stream(
        ctx.user.userId,
        input,
        signal ?? NEVER,
      ))
        yield tracked(id, event);
    }),

  stop: userProcedure
    .input(aiContract.stop.input)
    .output(aiContract.stop.output)
    .mutation(({ ctx, input }) => ctx.services.ai.stop(ctx.user.userId, input.runId)),

  run: userProcedure
    .input(aiContract.run.input)
    .output(aiContract.run.output)
    .query(({ ctx, input }) => ctx.services.ai.run(ctx.user.userId, input.runId)),
});
