// A set over a reused array: no allocation per add and delete.
// V8 gives a changing Set a new table every few dozen steps, and the old table points to the new one. Once one table
// has lived long enough to reach the old generation, every later one survives the young generation's collections too,
// and with it everything that was a member at that moment: whole requests (docs/performance.md has the figures). Places
// in one array are reused and point to nothing.

type Placed = Record<symbol, number | undefined>;

/**
 * The operations of a Set, but unordered. Each set adds a property to its members, so an object may belong to a few
 * such sets; do not create a set per object.
 */
export class SlotSet<Member extends object> {
  /** The property in which a member stores its place. */
  private readonly name = Symbol("place");
  private readonly places: (Member | undefined)[] = [];
  private readonly free: number[] = [];

  get size(): number {
    return this.places.length - this.free.length;
  }

  add(member: Member): void {
    if (this.has(member)) return;
    const place = this.free.pop() ?? this.places.length;
    this.places[place] = member;
    (member as Placed)[this.name] = place;
  }

  has(member: Member): boolean {
    return (member as Placed)[this.name] !== undefined;
  }

  /** Returns whether it was a member. */
  delete(member: Member): boolean {
    const place = (member as Placed)[this.name];
    if (place === undefined) return false;
    this.places[place] = undefined;
    this.free.push(place);
    (member as Placed)[this.name] = undefined;
    return true;
  }

  /** Yields whatever is a member when its place is reached. */
  *[Symbol.iterator](): Generator<Member, void, void> {
    for (const member of this.places) if (member !== undefined) yield member;
  }
}
