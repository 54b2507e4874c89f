// The demo's acts about credits: the sign-in that grants the first ones, spending, workers, live balances.
import { setTimeout as sleep } from "node:timers/promises";
import { FEATURE_TABLE, FEATURES, type Feature } from "../../shared/src/features.ts";
import type { Transcript } from "./transcript.ts";
import type { DemoWorld, Person } from "./world.ts";

/** Ada signs in for the first time. Returns her, with 100 credits. */
export async function signingIn(world: DemoWorld, { act, step }: Transcript): Promise<Person> {
  act("Ada signs in with Google");
  await step(
    "asks the API how to sign in",
    () => world.clientWith().auth.config.query(),
    { providers: [{ id: "google", url: `${world.url}/api/auth/google` }], sandbox: true },
    "Google, at /api/auth/google",
  );
  const ada = await world.signIn(world.addressOf("ada"));
  await step(
    "picks her account on Google's page and comes back",
    () => ada.landedOn,
    { pathname: "/auth/callback", search: "?returnTo=%2Fcredits", hash: "" },
    "signed in by a cookie; no token in any address",
  );
  await step(
    "opens that address a second time by hand",
    () => ada.browser.open(`${world.url}/api/auth/google/callback?code=any&state=any`),
    { url: { pathname: "/auth/callback", search: "?error=state_invalid" } },
    "sent back with a word: state_invalid",
  );
  await step(
    "asks who she is",
    () => ada.client.auth.me.query(),
    { user: { email: ada.email, name: "Ada", role: "USER", credits: 100 } },
    ({ user }) => `${user.name}, ${user.email}`,
  );
  await step(
    "looks at her balance",
    () => ada.client.credit.balance.query(),
    { credits: 100, held: 0, available: 100, grants: [{ source: "SIGNUP", remaining: 100 }] },
    "100 signup credits",
  );
  await step(
    "looks at her history",
    () => ada.client.credit.history.query(),
    { total: 1, logs: [{ seq: 1, type: "SIGNUP", amount: 100, balance: 100 }] },
    "one entry: SIGNUP +100",
  );
  const again = await world.signIn(ada.email);
  await step(
    "signs in on her phone as well",
    async () => ({ ...(await again.client.credit.balance.query()), userId: again.userId }),
    { userId: ada.userId, credits: 100 },
    "the same account, no second bonus",
  );
  return ada;
}

/** 100 credits become 79, charged once whatever is repeated. */
export async function spending(
  world: DemoWorld,
  { act, step, refused }: Transcript,
  { client, tokens }: Person,
): Promise<void> {
  act("She spends credits on the four features");
  await step(
    "looks at the prices",
    () => client.credit.costs.query(),
    {
      features: FEATURES.map((feature) => ({
        feature,
        credits: FEATURE_TABLE[feature].defaultPriceCredits,
      })),
    },
    ({ features }) => features.map(({ feature, credits }) => `${feature} ${credits}`).join(", "),
  );
  const spends: readonly [does: string, feature: Feature, charged: number, balance: number][] = [
    ["asks the fast model something", "chat-flash", 1, 99],
    ["asks the strong model something", "chat-pro", 5, 94],
    ["has slides made", "ppt-generate", 10, 84],
    ["has a slide changed", "ppt-edit", 5, 79],
  ];
  for (const [does, feature, charged, balance] of spends)
    await step(
      does,
      () => client.credit.spend.mutate({ feature, idempotencyKey: `first-${feature}` }),
      { feature, charged, balance, replayed: false },
      `${feature}: ${charged}, ${balance} left`,
    );
  await step(
    "sends the last call again, as a bad line makes one do",
    () => client.credit.spend.mutate({ feature: "ppt-edit", idempotencyKey: "first-ppt-edit" }),
    { charged: 5, balance: 79, replayed: true },
    "the first answer again; charged once",
  );
  await refused(
    "uses the same key for something else",
    () => client.credit.spend.mutate({ feature: "chat-pro", idempotencyKey: "first-ppt-edit" }),
    { code: "IDEMPOTENCY_CONFLICT" },
    "refused: IDEMPOTENCY_CONFLICT",
  );
  await step(
    "looks at what she used",
    () => client.credit.usage.query(),
    { totalCredits: 21 },
    "21 credits today, by feature and by day",
  );
  await step(
    "asks the same over REST, without TypeScript",
    async () => {
      const headers = { authorization: `Bearer ${tokens.access}` };
      const answer = await fetch(`${world.url}/api/user/credits`, { headers });
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    },
    { status: 200, body: { success: true, credits: 79 } },
    "GET /api/user/credits: 79",
  );
}

/** A worker does the work with a service key: 579 credits become 567. */
export async function workers(
  world: DemoWorld,
  { act, step, refused }: Transcript,
  { client, userId }: Person,
): Promise<void> {
  act("An AI worker spends for her, with a service key");
  const worker = world.clientWith(world.workerKey);
  const reserve = (amount: number, idempotencyKey: string) => () =>
    worker.service.reserve.mutate({ userId, amount, idempotencyKey });
  const { holdId } = await step(
    "holds 20 credits before a long job",
    reserve(20, "job-1"),
    { amount: 20, available: 559 },
    "559 of 579 are free to spend meanwhile",
  );
  await step(
    "finishes for less",
    () => worker.service.settle.mutate({ holdId, amount: 12 }),
    { charged: 12, available: 567 },
    "12 charged, 8 are hers again",
  );
  await refused(
    "settles it a second time",
    () => worker.service.settle.mutate({ holdId, amount: 12 }),
    { code: "HOLD_NOT_ACTIVE" },
    "refused: a hold ends once",
  );
  const failing = await step(
    "holds 50 credits for a job that fails",
    reserve(50, "job-2"),
    { amount: 50, available: 517 },
    "517 are free to spend meanwhile",
  );
  await step(
    "gives them back",
    () => worker.service.release.mutate({ holdId: failing.holdId }),
    { available: 567 },
    "nothing charged",
  );
  await refused(
    "tries it with another key",
    () => world.clientWith(`${world.workerKey}x`).service.release.mutate({ holdId }),
    { code: "UNAUTHENTICATED" },
    "refused: UNAUTHENTICATED",
  );
  await step(
    "Ada looks at her balance",
    () => client.credit.balance.query(),
    { credits: 567, held: 0, available: 567 },
    "567",
  );
}

/** 567 credits become 566 while she watches. */
export async function liveBalance(
  world: DemoWorld,
  { act, step }: Transcript,
  { client, userId }: Person,
): Promise<void> {
  act("Her balance moves by itself");
  const seen: number[] = [];
  const problem: { error?: unknown } = {};
  const stream = client.credit.onChange.subscribe(undefined, {
    onData: ({ available }) => seen.push(available),
    onError: (error) => {
      problem.error = error;
    },
  });
  const arrived = async (count: number): Promise<number[]> => {
    const deadlineMs = Date.now() + 15_000;
    while (seen.length < count && problem.error === undefined && Date.now() < deadlineMs)
      await sleep(10);
    if (problem.error instanceof Error) throw problem.error;
    return [...seen];
  };
  try {
    await step("opens credit.onChange", () => arrived(1), [567], "567 at once");
    await world.clientWith(world.workerKey).service.spend.mutate({
      userId,
      feature: "chat-flash",
      idempotencyKey: "live",
    });
    await step(
      "a worker spends one credit",
      () => arrived(2),
      [567, 566],
      "566 on her screen, unasked",
    );
  } finally {
    stream.unsubscribe();
  }
}
