// Owns the first half of the demo: signing in, spending, being short, buying, staying signed in.
import { TRPCClientError } from "@trpc/client";
import type { AppErrorData } from "../../shared/src/errors.ts";
import { FEATURES } from "../../shared/src/features.ts";
import type { AppRouter } from "../../shared/src/router.ts";
import { arrives, BrokenStep, check, type Story } from "./demo-story.ts";
import type { DemoWorld, Person } from "./demo-world.ts";

/** What `work` was refused with; the story ends when it was not. */
export async function refusal(work: Promise<unknown>): Promise<AppErrorData> {
  try {
    await work;
  } catch (error) {
    const app =
      error instanceof TRPCClientError
        ? (error as TRPCClientError<AppRouter>).data?.app
        : undefined;
    if (app !== undefined && app !== null) return app;
    throw error;
  }
  throw new BrokenStep("It was allowed and should have been refused.");
}

/** All the person's credits. */
export async function creditsOf({ client }: Person): Promise<number> {
  return (await client.credit.balance.query()).credits;
}

/** Presses the button of the hosted payment page. */
export async function payOnHostedPage(person: Person, checkoutUrl: string): Promise<URL> {
  const page = await person.browser.open(checkoutUrl);
  return (await person.browser.submit(page, /\/pay$/, { method: "ok" })).url;
}

export async function creditChapters(world: DemoWorld, story: Story): Promise<Person> {
  story.chapter("Signing in");
  let ada: Person | undefined;
  await story.step("Ada signs in with Google and gets 100 credits", async (tell) => {
    ada = await world.signIn("ada");
    const { user } = await ada.client.auth.me.query();
    check("her address", ada.email, user.email);
    check("her credits", 100, await creditsOf(ada));
    const { logs } = await ada.client.credit.history.query({});
    check(
      "her history",
      [["SIGNUP", 100, 1]],
      logs.map((it) => [it.type, it.amount, it.seq]),
    );
    tell(`${user.email}: 100 credits, one SIGNUP entry; no token was ever in an address`);
  });
  if (ada === undefined) throw new Error("Nobody signed in.");
  const person = ada;
  await story.step("Signing in again gives no second welcome gift", async () => {
    await world.signIn("ada");
    check("her credits", 100, await creditsOf(person));
  });
  await spending(story, person);
  await buying(world, story, person);
  await stayingSignedIn(world, story, person);
  return person;
}

async function spending(story: Story, ada: Person): Promise<void> {
  story.chapter("Spending");
  const { features } = await ada.client.credit.costs.query();
  let left = 100;
  for (const feature of FEATURES) {
    const cost = features.find((it) => it.feature === feature)?.credits ?? Number.NaN;
    await story.step(`${feature} costs ${cost}`, async (tell) => {
      const spent = await ada.client.credit.spend.mutate({
        feature,
        idempotencyKey: `first-${feature}`,
      });
      left -= cost;
      check("charged and left", [cost, left], [spent.charged, spent.balance]);
      tell(`${left} left`);
    });
  }
  await story.step("The same key again is answered again and charged once", async (tell) => {
    const again = await ada.client.credit.spend.mutate({
      feature: "chat-pro",
      idempotencyKey: "first-chat-pro",
    });
    check("replayed", true, again.replayed);
    check("her credits", left, await creditsOf(ada));
    tell("replayed: true");
  });
  await story.step("20 clicks at once on what is enough for 7: exactly 7 pass", async (tell) => {
    const clicks = await Promise.allSettled(
      Array.from({ length: 20 }, (_, click) =>
        ada.client.credit.spend.mutate({
          feature: "ppt-generate",
          idempotencyKey: `click-${click}`,
        }),
      ),
    );
    const passed = clicks.filter((it) => it.status === "fulfilled").length;
    check("clicks that passed", Math.floor(left / 10), passed);
    left -= passed * 10;
    check("her credits", left, await creditsOf(ada));
    tell(`${passed} passed, ${20 - passed} refused, ${left} left`);
  });
  await story.step("Short: the refusal says how much is missing and what to buy", async (tell) => {
    const no = await refusal(
      ada.client.credit.spend.mutate({ feature: "ppt-generate", idempotencyKey: "too-much" }),
    );
    if (no.code !== "INSUFFICIENT_CREDITS") throw new BrokenStep(`It was refused with ${no.code}.`);
    check("the numbers", [10, left, 10 - left], [no.required, no.available, no.shortfall]);
    const { packages } = await ada.client.payment.packages.query();
    const suggested = packages.find((it) => it.id === no.suggestedPackageId);
    check("the suggestion", 100, suggested?.credits);
    tell(`needs 10, has ${left}; suggested: ${suggested?.name} (100 credits)`);
  });
}

async function buying(world: DemoWorld, story: Story, ada: Person): Promise<void> {
  story.chapter("Buying 500 credits");
  const before = await creditsOf(ada);
  const { packages } = await ada.client.payment.packages.query();
  const packageId = packages.find((it) => it.credits === 500)?.id ?? "";
  const { sessionId, checkoutUrl } = await ada.client.payment.checkout.mutate({ packageId });
  await story.step("A second click gets the same checkout", async () => {
    const second = await ada.client.payment.checkout.mutate({ packageId });
    check("the session", sessionId, second.sessionId);
  });
  await story.step("Paid on the hosted page; the webhook brings them, live", async (tell) => {
    const live: number[] = [];
    const stream = ada.client.credit.onChange.subscribe(undefined, {
      onData: ({ credits }) => live.push(credits),
    });
    await arrives("the first live balance", before, () => Promise.resolve(live[0]));
    const back = await payOnHostedPage(ada, checkoutUrl);
    check("the way back", "/payment/success", back.pathname);
    check("its session", sessionId, back.searchParams.get("session_id"));
    await arrives("the live balance", before + 500, () => Promise.resolve(live.at(-1)));
    stream.unsubscribe();
    tell(`${before} → ${before + 500} over server-sent events`);
  });
  await story.step("The return page and a repeated webhook change nothing more", async () => {
    const confirmed = await ada.client.payment.confirm.mutate({ sessionId });
    check("confirmed", ["SUCCESS", before + 500], [confirmed.status, confirmed.balance]);
    const { control } = world.sandbox.stripe;
    const event = control.events("checkout.session.completed").at(-1);
    await control.resendEvent(event?.id ?? "");
    await control.idle();
    check("her credits", before + 500, await creditsOf(ada));
    const { payments } = await ada.client.payment.history.query({});
    check(
      "her payments",
      [["SUCCESS", 2000, 500]],
      payments.map((it) => [it.status, it.amount, it.creditsPurchased]),
    );
  });
}

async function stayingSignedIn(world: DemoWorld, story: Story, ada: Person): Promise<void> {
  story.chapter("Staying signed in");
  await story.step("Two tabs refresh with the same cookie at once: both stay", async () => {
    const tabs = [ada.browser, ada.browser.sameCookies()];
    const answers = await Promise.all(
      tabs.map((tab) =>
        tab.fetch(`${world.url}/api/auth/refresh`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: "{}",
        }),
      ),
    );
    check(
      "both answers",
      [200, 200],
      answers.map((it) => it.status),
    );
    await ada.client.auth.refresh.mutate();
    check("her sessions", 2, (await ada.client.auth.sessions.query()).sessions.length);
  });
  await story.step("A callback opened by hand is refused with a word", async (tell) => {
    const { url } = await ada.browser.open(`${world.url}/api/auth/google/callback?code=x&state=y`);
    check("the reason", "state_invalid", url.searchParams.get("error"));
    tell("/auth/callback?error=state_invalid");
  });
}
