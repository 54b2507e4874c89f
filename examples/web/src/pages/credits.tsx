// Buying credits: the packages, and the payments so far.
import { useState } from "react";
import { useBuy } from "../data/checkout.ts";
import { useConfig, usePackages, usePayments } from "../data/queries.ts";
import { credits, dateTime, money, number } from "../format.ts";
import { usePageTitle } from "../router.tsx";
import { Badge, Button, Card, Empty, Failure, Loaded, Pager } from "../ui/basics.tsx";
import { PAYMENT_WORDS } from "../words.ts";

const PAGE = 10;

export function Credits() {
  usePageTitle("Credits");
  return (
    <div className="page">
      <header className="page-head">
        <h1>Credits</h1>
        <p className="soft">Credits you buy never expire.</p>
      </header>
      <Packages />
      <Payments />
    </div>
  );
}

function Packages() {
  const packages = usePackages();
  const config = useConfig();
  const buy = useBuy();
  return (
    <Card title="Buy a package">
      <Loaded query={packages}>
        {({ packages: offers }) => (
          <div className="offers">
            {offers.map((offer) => (
              <article className="offer" key={offer.id}>
                <h3>{offer.name}</h3>
                <p className="offer-amount">
                  {number(offer.credits)} <small>credits</small>
                </p>
                <p className="soft">
                  {money((offer.price / offer.credits) * 100, offer.currency)} per 100 credits
                  <Saving offer={offer} offers={offers} />
                </p>
                <Button
                  kind="main"
                  busy={buy.isPending && buy.variables === offer.id}
                  disabled={buy.isPending && buy.variables !== offer.id}
                  onClick={() => buy.mutate(offer.id)}
                >
                  <span>
                    Buy <span className="visually-hidden">{credits(offer.credits)} </span>for{" "}
                    {money(offer.price, offer.currency)}
                  </span>
                </Button>
              </article>
            ))}
          </div>
        )}
      </Loaded>
      <Failure error={buy.error} title="The payment page could not be opened" />
      {config.data?.sandbox && (
        <p className="hint">
          <b>Sandbox.</b> The payment page offers a card that pays, one that is declined and a bank
          debit that settles later. No real money is charged.
        </p>
      )}
    </Card>
  );
}

type Offer = NonNullable<ReturnType<typeof usePackages>["data"]>["packages"][number];

/** What the package saves compared with the one that has the highest price per credit. */
function Saving({ offer, offers }: { offer: Offer; offers: readonly Offer[] }) {
  const rate = ({ price, credits: amount }: Offer) => price / amount;
  const same = offers.filter((one) => one.currency === offer.currency);
  const dearest = Math.max(...same.map(rate));
  const percent = Math.round((1 - rate(offer) / dearest) * 100);
  if (percent < 1) return null;
  const isBest = rate(offer) === Math.min(...same.map(rate));
  return (
    <>
      {" "}
      <Badge tone="good">
        {percent}% less{isBest && same.length > 2 ? ", best value" : ""}
      </Badge>
    </>
  );
}

function Payments() {
  const [offset, setOffset] = useState(0);
  const payments = usePayments({ limit: PAGE, offset });
  return (
    <Card title="Your payments">
      <Loaded query={payments}>
        {(data) => (
          <>
            {data.payments.length === 0 && <Empty>No payments yet.</Empty>}
            <ul className="list" data-testid="payments">
              {data.payments.map((payment) => (
                <li key={payment.id}>
                  <span>
                    <b>{money(payment.amount, payment.currency)}</b>
                    <span className="soft">{dateTime(payment.createdAt)}</span>
                  </span>
                  <span className="figure">
                    <Badge tone={PAYMENT_WORDS[payment.status].tone}>
                      {PAYMENT_WORDS[payment.status].text}
                    </Badge>
                    <span className="soft">
                      {payment.refundedAmount > 0
                        ? `${money(payment.refundedAmount, payment.currency)} refunded`
                        : credits(payment.creditsPurchased)}
                    </span>
                  </span>
                </li>
              ))}
            </ul>
            <Pager
              label="Pages of payments"
              busy={payments.isFetching}
              newer={offset > 0 ? () => setOffset(Math.max(offset - PAGE, 0)) : null}
              older={offset + PAGE < data.total ? () => setOffset(offset + PAGE) : null}
            >
              {data.offset + 1}–{data.offset + data.payments.length} of {number(data.total)}
            </Pager>
          </>
        )}
      </Loaded>
    </Card>
  );
}
