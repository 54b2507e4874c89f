// The `ai` procedures: input, output and one service call each (shared/src/ai.ts).
import { tracked } from "@trpc/server";
import { aiContract } from "../../shared/src/ai.ts";
import { trackedStreamOf } from "../trpc/stream.ts";
import { publicProcedure, router, userProcedure } from "../trpc/trpc.ts";

export const aiRouter = router({
  models: publicProcedure
    .meta({ rest: { route: "GET /api/ai/models", summary: "List the model behind each feature" } })
    .input(aiContract.models.input)
    .output(aiContract.models.output)
    .query(({ ctx }) => ctx.services.ai.models()),

  start: userProcedure
    .meta({
      rest: {
        route: "POST /api/ai/runs",
        summary: "Start a run, once per idempotencyKey",
        errors: ["INSUFFICIENT_CREDITS", "IDEMPOTENCY_CONFLICT", "NOT_FOUND", "AI_PROVIDER_ERROR"],
      },
    })
    .input(aiContract.start.input)
    .output(aiContract.start.output)
    .mutation(({ ctx, input }) => ctx.services.ai.start(ctx.user.userId, input)),

  stream: userProcedure
    .meta({
      rest: {
        route: "GET /api/ai/runs/{runId}/events",
        summary: "Stream the output of a run",
        errors: ["NOT_FOUND"],
      },
    })
    .input(aiContract.stream.input)
    .output(trackedStreamOf(aiContract.stream.output))
    .subscription(async function* ({ ctx, input }) {
      for await (const { id, event } of ctx.services.ai.stream(
        ctx.user.userId,
        input,
        ctx.streamSignal,
      ))
        yield tracked(id, event);
    }),

  stop: userProcedure
    .meta({
      rest: {
        route: "POST /api/ai/runs/{runId}/stop",
        summary: "Stop a run and settle it for what it has produced",
        errors: ["NOT_FOUND"],
      },
    })
    .input(aiContract.stop.input)
    .output(aiContract.stop.output)
    .mutation(({ ctx, input }) => ctx.services.ai.stop(ctx.user.userId, input.runId)),

  run: userProcedure
    .meta({
      rest: {
        route: "GET /api/ai/runs/{runId}",
        summary: "Get the state of a run",
        errors: ["NOT_FOUND"],
      },
    })
    .input(aiContract.run.input)
    .output(aiContract.run.output)
    .query(({ ctx, input }) => ctx.services.ai.run(ctx.user.userId, input.runId)),
});
