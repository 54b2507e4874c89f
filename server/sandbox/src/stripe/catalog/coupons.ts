// Coupons and the promotion codes people type for them.
import type { Call, Route } from "../api/route.ts";
import { page } from "../api/lists.ts";
import { newCoupon, newPromotionCode } from "../objects/new-catalog.ts";
import type { Coupon, Json } from "../objects/types.ts";
import type { PhaseDiscount } from "../objects/types-billing.ts";
import { badParam, type Fields, mergeMetadata, missing } from "../api/wire.ts";
import { need, type World } from "../state/world.ts";

function createCoupon({ world, fields }: Call): Json {
  const id = fields.text("id") ?? world.newId("c", 8).slice(2).toUpperCase();
  const percent = fields.text("percent_off");
  const amountOff = fields.int("amount_off") ?? null;
  const coupon: Coupon = newCoupon(id, world.wallNow(), {
    percentOff: percent === undefined ? null : Number(percent),
    amountOff,
    currency: fields.text("currency") ?? null,
    duration: fields.oneOf("duration", ["forever", "once", "repeating"]) ?? "once",
    name: fields.text("name") ?? null,
    metadata: mergeMetadata({}, fields.metadata()),
  });
  fields.ignore("duration_in_months", "max_redemptions", "redeem_by");
  fields.done();
  if ((percent === undefined) === (amountOff === null)) {
    throw badParam("Must provide percent_off or amount_off", "percent_off", "parameter_missing");
  }
  world.tables.coupons.set(id, coupon);
  world.emit("coupon.created", coupon);
  return coupon;
}

function createPromotionCode({ world, fields }: Call): Json {
  const promotion = fields.map("promotion");
  promotion?.ignore("type");
  const coupon = promotion?.needText("coupon") ?? fields.needText("coupon");
  const code = fields.text("code") ?? world.newId("c", 8).slice(2).toUpperCase();
  const metadata = mergeMetadata({}, fields.metadata());
  fields.ignore("max_redemptions", "expires_at", "active");
  fields.done();
  need(world.tables.coupons, "coupon", coupon, "coupon");
  const made = newPromotionCode(world.newId("promo"), world.wallNow(), { code, coupon, metadata });
  world.tables.promotionCodes.set(made.id, made);
  world.emit("promotion_code.created", made);
  return made;
}

const DISCOUNT_PREFIX = "di_";

/** The id of the discount that a coupon creates. */
export function discountOf(coupon: string): string {
  return `${DISCOUNT_PREFIX}${coupon}`;
}

/** The coupon behind the first discount. The stand-in applies no more than one. */
export function couponOf(world: World, [first]: readonly string[]): Coupon | undefined {
  return world.tables.coupons.get(first?.slice(DISCOUNT_PREFIX.length) ?? "");
}

/** Reads `discounts[…]` of a schedule's phase. `held` are the subscription's own discounts, which may be reused. */
export function readPhaseDiscounts(
  world: World,
  fields: Fields,
  held: readonly string[],
): PhaseDiscount[] {
  return fields.maps("discounts").map((it) => {
    const coupon = it.text("coupon") ?? null;
    const discount = it.text("discount") ?? null;
    const code = it.text("promotion_code") ?? null;
    if (coupon !== null) need(world.tables.coupons, "coupon", coupon, it.param("coupon"));
    if (code !== null)
      need(world.tables.promotionCodes, "promotion code", code, it.param("promotion_code"));
    if (discount !== null && !held.includes(discount))
      throw missing("discount", discount, it.param("discount"));
    return { coupon, discount, promotion_code: code };
  });
}

/** The ids of the discounts that a phase gives its subscription. */
export function discountsOf(world: World, given: readonly PhaseDiscount[]): string[] {
  return given.map(({ coupon, discount, promotion_code: code }) => {
    const behind = coupon ?? world.tables.promotionCodes.get(code ?? "")?.promotion.coupon ?? "";
    return discount ?? discountOf(behind);
  });
}

/** Routes of this file. */
export const couponRoutes: Route[] = [
  { method: "POST", path: "/v1/coupons", handle: createCoupon },
  {
    method: "GET",
    path: "/v1/coupons/:id",
    handle: ({ world, ids }) => need(world.tables.coupons, "coupon", ids[0] ?? ""),
  },
  { method: "POST", path: "/v1/promotion_codes", handle: createPromotionCode },
  {
    method: "GET",
    path: "/v1/promotion_codes",
    handle: ({ world, fields }) => {
      const code = fields.text("code");
      fields.ignore("active", "coupon");
      return {
        ...page(
          fields,
          "/v1/promotion_codes",
          world.tables.promotionCodes.values(),
          (it) => code === undefined || it.code === code,
        ),
      };
    },
  },
];
