// A world for tests of the credit and service procedures: a ledger world, the services on it, callers of a router.
import type { Principal } from "../../server/auth/auth.types.ts";
import { type CreditService, createCreditService } from "../../server/credit/credit.service.ts";
import { createCreditStore } from "../../server/credit/credit.store.ts";
import { suggestedPackage } from "../../server/payment/catalog/suggestion.ts";
import { createWorkersService } from "../../server/workers/workers.service.ts";
import { createWorkersStore } from "../../server/workers/workers.store.ts";
import type { Context, Services } from "../../server/trpc/context.ts";
import { emptyNotes } from "../../server/trpc/notes.ts";
import type { AvailableBackend } from "./databases.ts";
import { type LedgerWorld, openLedgerWorld } from "./ledger-world.ts";
import { COSTS } from "./prices.ts";

export const SERVICE_KEY = "k".repeat(40);
export const OTHER_SERVICE_KEY = "o".repeat(40);

/** A ledger world with services. */
export interface CreditWorld extends LedgerWorld {
  readonly credit: CreditService;
  /** A request's context as this user, or with this bearer. */
  context(who: { userId?: string; bearer?: string }): Context;
  /** The credit service of another instance. */
  anotherCredit(): Promise<CreditService>;
}

/** Opens a world on `available`. */
export async function openCreditWorld(available: AvailableBackend): Promise<CreditWorld> {
  const world = await openLedgerWorld(available);
  const { backend, ledger, logger, now } = world;
  const packagesOf = ({ database: { models } }: typeof backend) => ({
    suggest: async (shortfallCredits: number) => {
      const offers = await models.creditPackage.findMany({ where: { isActive: true } });
      return suggestedPackage(offers, shortfallCredits)?.id ?? null;
    },
  });
  const make = (on: typeof backend, writer: typeof ledger) =>
    createCreditService({
      store: createCreditStore(on.database),
      packages: packagesOf(on),
      ledger: writer,
      cache: available.redis ? on.cache : null,
      pubsub: on.pubsub,
      logger,
      now,
      costs: COSTS,
      livePollMs: available.redis ? 60_000 : 50,
    });
  const credit = make(backend, ledger);
  const service = createWorkersService({
    store: createWorkersStore(backend.database),
    ledger,
    costs: COSTS,
    packages: packagesOf(backend),
    serviceKeys: [
      { name: "worker", key: SERVICE_KEY },
      { name: "other", key: OTHER_SERVICE_KEY },
    ],
  });
  return {
    ...world,
    credit,
    async anotherCredit() {
      const other = await world.opened.openAnother();
      const { database, locks, cache, pubsub } = other;
      return make(other, world.withParts({ database, locks, cache, pubsub }));
    },
    context: ({ userId, bearer }) => ({
      request: {
        requestId: "test",
        ip: "127.0.0.1",
        userAgent: null,
        origin: null,
        bearer: bearer ?? null,
        refreshCookies: [],
      },
      reply: { setHeader: () => undefined, setRefreshCookie: () => undefined },
      tracer: null,
      services: {
        credit,
        service,
        auth: { requireOwnOrigin: () => undefined },
      } as unknown as Services,
      limits: { consume: () => Promise.resolve({ limit: 1, remaining: 1, resetSeconds: 1 }) },
      logger,
      notes: emptyNotes(),
      principal: (): Promise<Principal> =>
        Promise.resolve({ userId: userId ?? "", sessionId: "s", role: "USER" }),
      watchAuthority: () => ({ signal: new AbortController().signal, stop: () => undefined }),
    }),
  };
}
