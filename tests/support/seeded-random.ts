// Chance that can be repeated, and work in lanes.

/** Seeded randomness, so that a failure can be walked again: print the seed, pass it as SEED. */
export function seededRandom(name: string): {
  next(): number;
  shuffle<T>(items: readonly T[]): T[];
} {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  process.stdout.write(`${name}: SEED=${seed}\n`);
  let state = seed >>> 0;
  // mulberry32
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    next,
    shuffle: (items) => {
      const mixed = [...items];
      for (let at = mixed.length - 1; at > 0; at -= 1) {
        const other = Math.floor(next() * (at + 1));
        const [a, b] = [mixed[at], mixed[other]];
        if (a !== undefined && b !== undefined) [mixed[at], mixed[other]] = [b, a];
      }
      return mixed;
    },
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
