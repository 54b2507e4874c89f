// How Stripe's answers are read where they leave room.
import { expect, test } from "vitest";
import { readCheckout } from "../../../server/adapters/stripe/parse.ts";

test("a checkout session that is paid counts as complete, whatever it says", () => {
  const session = { id: "cs_1", object: "checkout.session", status: "open", created: 1 };
  const read = (paymentStatus: string) =>
    readCheckout({ ...session, payment_status: paymentStatus, currency: "USD" });
  expect(read("paid")).toMatchObject({ status: "complete", currency: "usd" });
  expect(read("unpaid")).toMatchObject({ status: "open" });
});
