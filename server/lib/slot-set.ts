// A set over a reused array: no allocation per add and delete.
// V8 gives a changing Set a new table every few dozen steps, and the old table points to the new one. As soon as one table
// has lived long enough for the old generation, every later one outlives the collections of the young generation too, and
// with it whatever was a member at that moment: whole requests (docs/performance.md has the figures). Places in one array
// are used again and point to nobody.

type Placed = Record<symbol, number | undefined>;

/** What a Set can do, without an order. An object may be a member of a few such sets, not of one set each. */
export class SlotSet<Member extends object> {
  /** Under this name a member knows its place. */
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

  /** Whoever is a member when its turn comes. */
  *[Symbol.iterator](): Generator<Member, void, void> {
    for (const member of this.places) if (member !== undefined) yield member;
  }
}
