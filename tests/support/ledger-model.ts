// An independent model of one user's credits: it moves one credit at a time and shares nothing with server/ledger.

/** A lot in the model. */
export interface ModelLot {
  key: string;
  source: string;
  left: number;
  expiresAt: number | null;
  born: number;
}

interface ModelHold {
  name: string;
  amount: number;
  state: "ACTIVE" | "SETTLED" | "RELEASED" | "EXPIRED";
  expiresAt: number;
  /** One lot key per credit. */
  parts: string[];
}

/** The outcome of a step: the error's code, or the credits that moved. */
export type ModelAnswer = { error: string } | { moved: number; replayed: boolean };

/** The steps of a random test. Holds and keys come from a small set, so that they repeat. */
export type ModelStep =
  | {
      do: "grant";
      key: string;
      amount: number;
      source: "PURCHASE" | "SUBSCRIPTION";
      ttl: number | null;
    }
  | { do: "spend"; key: string; amount: number }
  | { do: "reserve"; key: string; amount: number; ttl: number }
  | { do: "settle"; hold: string; amount: number | null }
  | { do: "release"; hold: string }
  | { do: "takeBack"; key: string; lot: string; amount: number }
  | { do: "adjust"; key: string; amount: number }
  | { do: "expire" }
  | { do: "wait"; seconds: number };

/** Creates the model. Times are in milliseconds. */
export function createModel() {
  let lots: ModelLot[] = [];
  const holds: ModelHold[] = [];
  const keys = new Map<string, { input: string; moved: number }>();
  const entries: { amount: number; type: string }[] = [];
  let debt = 0;
  let born = 0;

  const inLots = () => lots.reduce((sum, lot) => sum + lot.left, 0);
  const credits = () => inLots() - debt;
  const active = () => holds.filter((hold) => hold.state === "ACTIVE");
  const held = () => active().reduce((sum, hold) => sum + hold.amount, 0);
  const free = (lot: ModelLot) =>
    lot.left -
    active().reduce((sum, hold) => sum + hold.parts.filter((key) => key === lot.key).length, 0);

  function order(): ModelLot[] {
    return [...lots].sort((a, b) => {
      const end = (lot: ModelLot) => lot.expiresAt ?? Number.MAX_SAFE_INTEGER;
      if (end(a) !== end(b)) return end(a) - end(b);
      if ((a.source === "PURCHASE") !== (b.source === "PURCHASE"))
        return a.source === "PURCHASE" ? 1 : -1;
      return a.born - b.born;
    });
  }

  /** Takes one credit from the first lot that has any, trying each rule in turn; if none applies, it becomes debt. */
  function takeOne(rules: ((lot: ModelLot) => boolean)[]): void {
    for (const rule of rules) {
      const lot = order().find((one) => one.left > 0 && rule(one));
      if (lot === undefined) continue;
      lot.left -= 1;
      return;
    }
    debt += 1;
  }

  function write(type: string, amount: number): void {
    entries.push({ type, amount });
  }

  function sweep(now: number): void {
    for (const hold of active()) if (hold.expiresAt <= now) hold.state = "EXPIRED";
    let lost = 0;
    const over = (lot: ModelLot) => lot.expiresAt !== null && lot.expiresAt <= now && free(lot) > 0;
    while (credits() - held() > 0 && order().some(over)) {
      const lot = order().find(over);
      if (lot !== undefined) lot.left -= 1;
      lost += 1;
    }
    if (lost > 0) write("EXPIRY", -lost);
  }

  function give(key: string, source: string, amount: number, expiresAt: number | null): void {
    const paid = Math.min(debt, amount);
    debt -= paid;
    born += 1;
    lots.push({ key, source, left: amount - paid, expiresAt, born });
  }

  function keyed(step: ModelStep & { key: string }, run: () => ModelAnswer): ModelAnswer {
    const input = JSON.stringify({ ...step, key: "" });
    const known = keys.get(step.key);
    if (known !== undefined)
      return known.input === input
        ? { moved: known.moved, replayed: true }
        : { error: "IDEMPOTENCY_CONFLICT" };
    const answer = run();
    if ("moved" in answer) keys.set(step.key, { input, moved: answer.moved });
    return answer;
  }

  function apply(step: ModelStep, now: number): ModelAnswer {
    const done = (moved: number): ModelAnswer => ({ moved, replayed: false });
    switch (step.do) {
      case "wait":
        return done(0);
      case "expire":
        sweep(now);
        return done(0);
      case "grant": {
        sweep(now);
        const known = keys.get(`grant ${step.key}`);
        const input = JSON.stringify([step.amount, step.source]);
        if (known !== undefined)
          return known.input === input
            ? { moved: known.moved, replayed: true }
            : { error: "IDEMPOTENCY_CONFLICT" };
        keys.set(`grant ${step.key}`, { input, moved: step.amount });
        give(step.key, step.source, step.amount, step.ttl === null ? null : now + step.ttl * 1000);
        write(step.source, step.amount);
        return done(step.amount);
      }
      case "spend":
        return keyed(step, () => {
          sweep(now);
          if (credits() - held() < step.amount) return { error: "INSUFFICIENT_CREDITS" };
          for (let i = 0; i < step.amount; i += 1) takeOne([(lot) => free(lot) > 0]);
          write("USAGE", -step.amount);
          return done(step.amount);
        });
      case "reserve":
        return keyed(step, () => {
          sweep(now);
          if (credits() - held() < step.amount) return { error: "INSUFFICIENT_CREDITS" };
          const hold: ModelHold = {
            name: step.key,
            amount: step.amount,
            state: "ACTIVE",
            expiresAt: now + step.ttl * 1000,
            parts: [],
          };
          holds.push(hold);
          for (let i = 0; i < step.amount; i += 1) {
            const lot = order().find((one) => free(one) > 0);
            if (lot !== undefined) hold.parts.push(lot.key);
          }
          return done(step.amount);
        });
      case "settle": {
        sweep(now);
        const hold = holds.find((one) => one.name === step.hold);
        if (hold === undefined) return { error: "NOT_FOUND" };
        if (hold.state !== "ACTIVE") return { error: "HOLD_NOT_ACTIVE" };
        const amount = step.amount ?? hold.amount;
        if (amount > hold.amount) return { error: "VALIDATION_FAILED" };
        hold.state = "SETTLED";
        const own = [...hold.parts];
        for (let i = 0; i < amount; i += 1) {
          const mine = order().find((lot) => lot.left > 0 && own.includes(lot.key));
          if (mine !== undefined) {
            own.splice(own.indexOf(mine.key), 1);
            mine.left -= 1;
          } else takeOne([(lot) => free(lot) > 0, () => true]);
        }
        if (amount > 0) write("USAGE", -amount);
        sweep(now);
        return done(amount);
      }
      case "release": {
        sweep(now);
        const hold = holds.find((one) => one.name === step.hold);
        if (hold === undefined) return { error: "NOT_FOUND" };
        if (hold.state !== "ACTIVE") return { error: "HOLD_NOT_ACTIVE" };
        hold.state = "RELEASED";
        sweep(now);
        return done(0);
      }
      case "takeBack":
        return keyed(step, () => {
          sweep(now);
          for (let i = 0; i < step.amount; i += 1)
            takeOne([(lot) => lot.key === step.lot, (lot) => free(lot) > 0, () => true]);
          write("REFUND", -step.amount);
          return done(step.amount);
        });
      case "adjust":
        return keyed(step, () => {
          sweep(now);
          if (step.amount > 0) give(`adjust ${step.key}`, "ADMIN_ADJUST", step.amount, null);
          else
            for (let i = 0; i < -step.amount; i += 1) takeOne([(lot) => free(lot) > 0, () => true]);
          write("ADMIN_ADJUST", step.amount);
          return done(Math.abs(step.amount));
        });
    }
  }

  return {
    apply(step: ModelStep, now: number): ModelAnswer {
      const answer = apply(step, now);
      lots = lots.filter((lot) => lot.left > 0);
      return answer;
    },
    position: () => ({
      credits: credits(),
      held: held(),
      available: credits() - held(),
      seq: entries.length,
    }),
    entries: () => entries,
    /** Remaining credits of each open lot, in the order they are spent. */
    lots: () => order().map((lot) => lot.left),
    holds: () => holds.map(({ name, state }) => ({ name, state })),
  };
}
