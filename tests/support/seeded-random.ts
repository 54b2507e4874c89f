// Reproducible randomness, and a pool of concurrent work.

/** A reproducible random source. */
export type Random = ReturnType<typeof createRandom>;

/** Creates the random source of a seed. */
export function createRandom(seed: number) {
  // Seeds tend to be small consecutive numbers, so mix them first to decorrelate neighbours.
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;

  // mulberry32
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  function weighted<T>(choices: readonly (readonly [T, number])[]): T {
    let left = next() * choices.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [item, weight] of choices) {
      left -= weight;
      if (left < 0) return item;
    }
    const last = choices.at(-1);
    if (last === undefined) throw new Error("nothing to choose from");
    return last[0];
  }

  return {
    /** 0 <= x < 1. */
    next,
    /** An integer from `min` to `max`, inclusive. */
    between: (min: number, max: number) => min + Math.floor(next() * (max - min + 1)),
    chance: (probability: number) => next() < probability,
    /** One of `items`; throws on an empty list. */
    pick: <T>(items: readonly T[]): T => {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new Error("nothing to pick from");
      return item;
    },
    /** One of `choices` ([item, weight]), with a probability proportional to its weight. */
    weighted,
  };
}

/** Seeded randomness: prints the seed, so that a failure can be reproduced by passing it as SEED. */
export function seededRandom(name: string) {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  process.stdout.write(`${name}: SEED=${seed}\n`);
  const random = createRandom(seed);
  return {
    ...random,
    shuffle: <T>(items: readonly T[]): T[] =>
      items
        .map((item) => ({ item, place: random.next() }))
        .sort((a, b) => a.place - b.place)
        .map(({ item }) => item),
  };
}

/** Runs `work` on `items`, at most `width` at a time. */
export async function eachOf<T>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) {
      const item = items[at];
      if (item !== undefined) await work(item, at);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
}
