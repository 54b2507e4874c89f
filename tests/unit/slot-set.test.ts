// A SlotSet is an unordered Set: the same members after any steps, and no more space than its peak size required.
import fc from "fast-check";
import { expect, it } from "vitest";
import { SlotSet } from "../../server/lib/slot-set.ts";

it("has the members that a Set would have, after any steps", () => {
  const step = fc.record({ member: fc.nat({ max: 9 }), adds: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const people = Array.from({ length: 10 }, (_, number) => ({ number }));
      const slots = new SlotSet<{ number: number }>();
      const set = new Set<{ number: number }>();
      for (const { member, adds } of steps) {
        const person = people[member] as { number: number };
        if (adds) {
          slots.add(person);
          set.add(person);
        } else expect(slots.delete(person)).toBe(set.delete(person));
        expect(slots.size).toBe(set.size);
        expect(people.filter((one) => slots.has(one))).toEqual(
          people.filter((one) => set.has(one)),
        );
      }
      expect(new Set(slots)).toEqual(set);
    }),
  );
});

it("lets a member leave while it is walked", () => {
  const [one, two, three] = [{}, {}, {}];
  const slots = new SlotSet<object>();
  for (const member of [one, two, three]) slots.add(member);
  const met: object[] = [];
  for (const member of slots) {
    met.push(member);
    slots.delete(member);
    slots.delete(two);
  }
  expect(met).toEqual([one, three]);
  expect(slots.size).toBe(0);
});
