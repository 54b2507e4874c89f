// The single rule by which a package is suggested.
import fc from "fast-check";
import { expect, test } from "vitest";
import { suggestedPackage } from "../../../server/payment/catalog/suggestion.ts";

const offer = fc.record({
  id: fc.string({ minLength: 1, maxLength: 3 }),
  credits: fc.integer({ min: 1, max: 6 }),
  price: fc.integer({ min: 1, max: 4 }),
});

test("returns the smallest package that is enough, else the largest, the cheaper among equals, in whatever order they come", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(offer, { selector: ({ id }) => id, maxLength: 8 }),
      fc.integer({ min: 1, max: 8 }),
      (offers, shortfall) => {
        const found = suggestedPackage(offers, shortfall);
        expect(suggestedPackage(offers.toReversed(), shortfall)).toEqual(found);
        if (found === undefined) {
          expect(offers).toEqual([]);
          return;
        }
        const enough = offers.filter(({ credits }) => credits >= shortfall);
        const credits = (enough.length > 0 ? enough : offers).map((one) => one.credits);
        expect(found.credits).toBe(enough.length > 0 ? Math.min(...credits) : Math.max(...credits));
        const equals = offers.filter((one) => one.credits === found.credits);
        expect(found.price).toBe(Math.min(...equals.map(({ price }) => price)));
      },
    ),
  );
});
