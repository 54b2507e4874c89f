// A roster is a Set without an order: the same members after any steps, and room for no more than were there at once.
import fc from "fast-check";
import { expect, it } from "vitest";
import { Roster } from "../../server/lib/roster.ts";

it("has the members that a Set would have, after any steps", () => {
  const step = fc.record({ member: fc.nat({ max: 9 }), adds: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const people = Array.from({ length: 10 }, (_, number) => ({ number }));
      const roster = new Roster<{ number: number }>();
      const set = new Set<{ number: number }>();
      for (const { member, adds } of steps) {
        const person = people[member] as { number: number };
        if (adds) {
          roster.add(person);
          set.add(person);
        } else expect(roster.delete(person)).toBe(set.delete(person));
        expect(roster.size).toBe(set.size);
        expect(people.filter((one) => roster.has(one))).toEqual(
          people.filter((one) => set.has(one)),
        );
      }
      expect(new Set(roster)).toEqual(set);
    }),
  );
});

it("lets a member leave while it is walked", () => {
  const [one, two, three] = [{}, {}, {}];
  const roster = new Roster<object>();
  for (const member of [one, two, three]) roster.add(member);
  const met: object[] = [];
  for (const member of roster) {
    met.push(member);
    roster.delete(member);
    roster.delete(two);
  }
  expect(met).toEqual([one, three]);
  expect(roster.size).toBe(0);
});
