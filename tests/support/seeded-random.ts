// Chance that can be repeated, and work in lanes.

/** Chance that can be walked again. */
export type Random = ReturnType<typeof createRandom>;

/** The stream of a seed. */
export function createRandom(seed: number) {
  // Seeds are small numbers in a row: mixed first, so that neighbours have nothing in common.
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
    /** A whole number from `min` to `max`, both included. */
    between: (min: number, max: number) => min + Math.floor(next() * (max - min + 1)),
    chance: (probability: number) => next() < probability,
    /** One of `items`; throws on an empty list. */
    pick: <T>(items: readonly T[]): T => {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new Error("nothing to pick from");
      return item;
    },
    /** One of `choices` ([item, weight]), as often as its weight says. */
    weighted,
  };
}

/** Seeded randomness, so that a failure can be walked again: print the seed, pass it as SEED. */
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

/** Runs `work` over `items`, `width` at a time. */
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
