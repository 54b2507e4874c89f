// The soak's users besides its spenders: they buy, and use the model. Refusals are counted; anything else is wrong.
import { setTimeout as sleep } from "node:timers/promises";
import { TRPCClientError } from "@trpc/client";
import type { StripeControl } from "../../server/sandbox/src/stripe/control/control.ts";
import { codeOf } from "../../shared/src/refusal.ts";
import type { SignedIn } from "../support/server.ts";

/** The results of these users. */
export interface PeopleTally {
  bought: number;
  runs: Record<string, number>;
  /** Typed refusals by code: those that an outage explains. */
  refused: Record<string, number>;
  /** Descriptions of answers that no client should ever receive. */
  wrong: string[];
}

/** Refusals that the outage of a dependency explains. */
const EXPLAINED = new Set([
  "SERVICE_UNAVAILABLE",
  "PAYMENT_PROVIDER_ERROR",
  "AI_PROVIDER_ERROR",
  "RATE_LIMITED",
]);

const RUN_LIMIT_MS = 120_000;

/** Lets each of `users` buy and use the model, in turns, until `isOver`. */
export async function startPeople(deps: {
  readonly users: readonly SignedIn[];
  readonly stripe: Pick<StripeControl, "completeCheckout">;
  readonly isOver: () => boolean;
}): Promise<PeopleTally> {
  const tally: PeopleTally = { bought: 0, runs: {}, refused: {}, wrong: [] };

  function note(what: string, error: unknown): void {
    const data: unknown = error instanceof TRPCClientError ? error.data : undefined;
    // No typed code: the connection broke with the instance.
    const code = codeOf(data);
    const name = code ?? "connection lost";
    if (code === null || EXPLAINED.has(code)) tally.refused[name] = (tally.refused[name] ?? 0) + 1;
    else if (tally.wrong.length < 20) tally.wrong.push(`${what}: ${code} ${String(error)}`);
  }

  async function buy({ client }: SignedIn): Promise<void> {
    const { sessionId } = await client.payment.checkout.mutate({ packageId: "pkg_small" });
    deps.stripe.completeCheckout(sessionId);
    const { status } = await client.payment.confirm.mutate({ sessionId });
    if (status === "SUCCESS") tally.bought += 1;
  }

  async function ask({ client }: SignedIn, turn: number): Promise<void> {
    const { runId } = await client.ai.start.mutate({
      feature: "chat-flash",
      messages: [{ role: "user", content: `Question ${turn}: why is the sky blue?` }],
      idempotencyKey: `ask-${turn}`,
    });
    const outcome = await new Promise<string>((resolve, reject) => {
      const late = setTimeout(() => {
        subscription.unsubscribe();
        resolve("no end in time");
      }, RUN_LIMIT_MS);
      const ended = (result: () => void): void => {
        clearTimeout(late);
        subscription.unsubscribe();
        result();
      };
      const subscription = client.ai.stream.subscribe(
        { runId },
        {
          onData: ({ data }) => {
            if (data.type === "end") ended(() => resolve(data.outcome));
          },
          onError: (error) => ended(() => reject(error)),
        },
      );
    });
    tally.runs[outcome] = (tally.runs[outcome] ?? 0) + 1;
    if (outcome === "no end in time") tally.wrong.push(`run ${runId} never ended for its reader`);
  }

  await Promise.all(
    deps.users.map(async (user, index) => {
      for (let turn = 0; !deps.isOver(); turn += 1) {
        const isBuying = turn % 5 === 0;
        await (isBuying ? buy(user) : ask(user, index * 1_000_000 + turn)).catch((error: unknown) =>
          note(isBuying ? "buy" : "ask", error),
        );
        await sleep(200 + Math.random() * 800);
      }
    }),
  );
  return tally;
}
