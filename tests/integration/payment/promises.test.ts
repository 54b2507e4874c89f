// Promises 1, 2 and 3: webhooks in any number and order, parallel fulfilment, writes to Stripe that happen once. Sized
// for CI by default; FULL=1 selects the size given in PROMISES.md. SEED repeats a run.
import { beforeAll, describe, expect, it } from "vitest";
import { CALL_LIMITS } from "../../../server/adapters/stripe/calls.ts";
import { available } from "../../support/backend.ts";
import { brokenInvariants } from "../../support/ledger-audit.ts";
import { eachOf, seededRandom } from "../../support/seeded-random.ts";
import { retryWhileUnavailable } from "../../support/shop.ts";
import { useShop } from "../../support/use-app.ts";

const FULL = process.env["FULL"] === "1";
const size = (full: number, ci: number) => (FULL ? full : ci);
const TIMEOUT_MS = FULL ? 7_200_000 : 120_000;
const startedAt = Date.now();
/** Full sizes take minutes, so report the progress. */
const say = (text: string) => {
  if (FULL) process.stdout.write(`${Math.round((Date.now() - startedAt) / 1000)} s: ${text}\n`);
};

describe("promises of payments", () => {
  const world = useShop({
    available,
    instances: 2,
    webhooks: false,
    // Realistic limits: at full size the machine itself may be slow.
    limits: { ...CALL_LIMITS, attemptTimeoutMs: 4_000 },
  });
  let packageId: string;
  const random = seededRandom(`payments on ${available.name}`);

  beforeAll(async () => {
    packageId = (await world.payment.packages()).packages[0]?.id ?? "";
  });

  const newUsers = async (count: number): Promise<string[]> => {
    const users: string[] = [];
    for (let n = 0; n < count; n += 1) users.push(await world.createUser());
    return users;
  };
  const expectGranted = async (users: readonly string[], credits: number) => {
    const ids = [...users];
    const rows = await world.models.user.findMany({
      where: { id: { in: ids } },
      select: { id: true, credits: true },
    });
    expect(rows.filter((row) => row.credits !== credits)).toEqual([]);
    expect(await world.models.creditLog.count({ where: { userId: { in: ids } } })).toBe(
      credits === 0 ? 0 : users.length,
    );
    for (const userId of users.slice(0, 50))
      expect(await brokenInvariants(world.models, userId)).toEqual([]);
  };

  it("1: grants every paid purchase once, delivered 1 to 5 times, shuffled, doubled, dropped", {
    timeout: TIMEOUT_MS,
  }, async () => {
    const users = await newUsers(size(5_000, 60));
    const seen = new Set(world.sandbox.stripe.control.events().map(({ id }) => id));
    await eachOf(users, 8, async (userId) => {
      await retryWhileUnavailable(() => world.buy(userId, packageId));
    });
    const events = world.sandbox.stripe.control.events().filter(({ id }) => !seen.has(id));
    say(`${users.length} payments made, ${events.length} events`);
    const deliveries = events.flatMap((event, index) => {
      if (random.next() < 0.2) return [];
      const times = 1 + Math.floor(random.next() * 5);
      const again = random.next() < 0.1 ? [`${event.id}_again${index}`] : [];
      return [...Array.from({ length: times }, () => event.id), ...again].map((id) => ({
        event,
        id,
      }));
    });
    const statuses = new Map<number, number>();
    const mixed = random.shuffle(deliveries);
    const hours = 72;
    for (let hour = 0; hour < hours; hour += 1) {
      const from = Math.floor((mixed.length * hour) / hours);
      const slice = mixed.slice(from, Math.floor((mixed.length * (hour + 1)) / hours));
      await eachOf(slice, 8, async ({ event, id }, index) => {
        const status = await world.deliverUntilTaken(event, index, id);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      });
      world.travel({ minutes: 60 });
      if (hour % 12 === 11) say(`hour ${hour + 1} of ${hours}, ${mixed.length} deliveries in all`);
    }
    expect([...statuses.keys()]).toEqual([200]);
    const reports = await Promise.all(world.instances.map(({ payment }) => payment.reconcile()));
    say(`reconciled twice at once: ${JSON.stringify(reports)}`);
    expect(reports.flatMap(({ problems }) => problems)).toEqual([]);
    await expectGranted(users, 100);
    const again = await world.payment.reconcile();
    expect(again).toMatchObject({ eventsRecovered: 0, paymentsRepaired: 0, problems: [] });
  });

  it("2: grants once under 20 parallel callers each; unpaid sessions wait for their money", {
    timeout: TIMEOUT_MS,
  }, async () => {
    const users = await newUsers(size(500, 20));
    const [first, second] = world.instances;
    await eachOf(users, 2, async (userId, index) => {
      const { sessionId } = await retryWhileUnavailable(() =>
        first.payment.checkout(userId, { packageId }),
      );
      const delayed = index % 4 === 0;
      world.sandbox.stripe.control.completeCheckout(sessionId, delayed ? "delayed" : "paid");
      const storm = async () => {
        const events = world.sandbox.stripe.control
          .events()
          .filter((event) => JSON.stringify(event.data.object).includes(sessionId));
        const calls = Array.from({ length: 20 }, (_, n) => {
          const instance = n % 2 === 0 ? first : (second ?? first);
          const event = events.at(-1);
          if (n % 3 === 0 && event !== undefined)
            return world.deliverUntilTaken(event, n, `${event.id}_${n}`);
          if (n % 10 === 7)
            return retryWhileUnavailable(() =>
              instance.payment.reconcile({ since: new Date(world.clock.now()) }),
            );
          return retryWhileUnavailable(() => instance.payment.confirm(userId, { sessionId }));
        });
        await Promise.all(calls);
      };
      await storm();
      if (delayed) {
        expect(await world.credits(userId)).toBe(0);
        world.sandbox.stripe.control.settleDelayedPayment(sessionId, true);
        await storm();
      }
    });
    await expectGranted(users, 100);
  });

  it("3: makes one customer, one session, one refund per action though the answer was cut off or a failure saved", {
    timeout: TIMEOUT_MS,
  }, async () => {
    const { control } = world.sandbox.stripe;
    const rounds = size(200, 8);
    const faults = ["cut-after", "500-after", "half", "hang-after"] as const;
    const before = {
      customers: control.events("customer.created").length,
      refunds: control.events("refund.created").length,
    };
    for (let round = 0; round < rounds; round += 1) {
      // Most rounds cut the connection, as promised; the others fail in other ways.
      const fault = round % 4 < 3 ? "cut-after" : (faults[(round >> 2) % 4] ?? "cut-after");
      const userId = await world.createUser();
      // Every fourth round: the failure is saved under its key and replayed for a day, with or without the work done.
      const isSaved = round % 4 === 2;
      const saved = round % 8 === 2 ? "500-after" : "500";
      const save = (path: string) => {
        if (isSaved) control.misbehave({ fault: saved, saved: true, method: "POST", path });
      };
      save("/v1/customers");
      save("/v1/checkout/sessions");
      control.misbehave({ fault, method: "POST", path: "/v1/customers" });
      control.misbehave({ fault, method: "POST", path: "/v1/checkout/sessions" });
      const tries = await Promise.allSettled(
        [1, 2].map(() => world.payment.checkout(userId, { packageId })),
      );
      control.wellBehaved();
      const { sessionId } = await world.payment.checkout(userId, { packageId });
      for (const one of tries)
        if (one.status === "fulfilled") expect(one.value.sessionId).toBe(sessionId);
      control.completeCheckout(sessionId);
      await world.payment.confirm(userId, { sessionId });
      const payment = await world.models.payment.findFirstOrThrow({ where: { userId } });
      const order = {
        paymentId: payment.id,
        amountMinorUnits: 250,
        idempotencyKey: "once",
        actorId: "admin",
      };
      save("/v1/refunds");
      control.misbehave({ fault, method: "POST", path: "/v1/refunds" });
      await world.payment.refundPayment(order).catch(() => undefined);
      control.wellBehaved();
      expect((await world.payment.refundPayment(order)).refundedAmount).toBe(250);
      expect(await world.credits(userId)).toBe(50);
    }
    expect(control.events("customer.created").length - before.customers).toBe(rounds);
    expect(control.events("refund.created").length - before.refunds).toBe(rounds);
  });
});
