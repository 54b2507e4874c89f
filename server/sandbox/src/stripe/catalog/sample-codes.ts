// Promotion codes that exist from the start, to try on the checkout page.
import { newCoupon, newPromotionCode } from "../objects/new-catalog.ts";
import type { World } from "../state/world.ts";

/** Adds the promotion codes FREE100 and HALF50. */
export function addSampleCodes(world: World): void {
  const codes = [
    { id: "SANDBOXFREE", code: "FREE100", percentOff: 100 },
    { id: "SANDBOXHALF", code: "HALF50", percentOff: 50 },
  ];
  for (const { id, code, percentOff } of codes) {
    world.tables.coupons.set(
      id,
      newCoupon(id, world.wallNow(), {
        percentOff,
        amountOff: null,
        currency: null,
        duration: "once",
        name: `${percentOff}% off`,
        metadata: {},
      }),
    );
    world.tables.promotionCodes.set(
      `promo_${id}`,
      newPromotionCode(`promo_${id}`, world.wallNow(), { code, coupon: id, metadata: {} }),
    );
  }
}
