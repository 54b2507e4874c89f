// The two pages to which the payment service returns the user.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { keys } from "../data/queries.ts";
import { useSkywork } from "../data/skywork.tsx";
import { credits, number } from "../format.ts";
import { Link, usePageTitle } from "../router.tsx";
import { Button, Failure, Notice, Skeleton } from "../ui/basics.tsx";
import { Icon } from "../ui/icons.tsx";

/**
 * `/payment/success?session_id=…`: asks the server to check the session now, in case the webhook is slower than the
 * browser. Safe to reload, because a payment's credits are granted only once.
 */
export function PaymentSuccess() {
  usePageTitle("Payment");
  const { api } = useSkywork();
  const queryClient = useQueryClient();
  const sessionId = new URLSearchParams(window.location.search).get("session_id");
  const asked = useRef(false);
  const confirm = useMutation({
    mutationFn: (id: string) => api.payment.confirm.mutate({ sessionId: id }),
    onSuccess: () =>
      Promise.all(
        [keys.balance, keys.history, keys.payments, keys.subscription].map((key) =>
          queryClient.invalidateQueries({ queryKey: [...key] }),
        ),
      ),
  });
  const { mutate } = confirm;
  useEffect(() => {
    if (sessionId === null || asked.current) return;
    asked.current = true;
    mutate(sessionId);
  }, [sessionId, mutate]);

  return (
    <div className="page narrow">
      <section className="card center" aria-live="polite" data-testid="payment-result">
        {sessionId === null && (
          <>
            <h1>No payment to show</h1>
            <p className="soft">
              You see this page after a payment. Your payments are listed under Credits.
            </p>
          </>
        )}
        {sessionId !== null && (confirm.isPending || confirm.isIdle) && (
          <>
            <h1>Checking your payment…</h1>
            <Skeleton lines={2} />
          </>
        )}
        {confirm.data?.status === "SUCCESS" && (
          <>
            <span className="seal good">
              <Icon name="check" size={32} />
            </span>
            <h1>Thank you!</h1>
            <p>
              {confirm.data.creditsAdded > 0
                ? `${credits(confirm.data.creditsAdded)} are in your account. `
                : "Your payment is complete. "}
              You now have {number(confirm.data.balance)}.
            </p>
          </>
        )}
        {confirm.data?.status === "PENDING" && (
          <>
            <span className="seal warn">
              <Icon name="clock" size={32} />
            </span>
            <h1>On its way</h1>
            <p>
              Your bank has not confirmed the payment yet. The credits arrive automatically as soon
              as it does; you don't have to wait here.
            </p>
            <Button busy={confirm.isPending} onClick={() => sessionId && mutate(sessionId)}>
              Check again
            </Button>
          </>
        )}
        {confirm.data !== undefined && !["SUCCESS", "PENDING"].includes(confirm.data.status) && (
          <>
            <h1>
              {confirm.data.status === "FAILED"
                ? "The payment failed"
                : "This payment was refunded"}
            </h1>
            <p>You have {credits(confirm.data.balance)}. You can try again under Credits.</p>
          </>
        )}
        {confirm.isError && (
          <>
            <h1>We could not check your payment</h1>
            <Failure error={confirm.error} />
            <p className="soft">If you paid, the credits arrive automatically in a moment.</p>
            <Button busy={confirm.isPending} onClick={() => sessionId && mutate(sessionId)}>
              Check again
            </Button>
          </>
        )}
        <p className="actions center">
          <Link to="/" className="button main">
            Continue
          </Link>
          <Link to="/credits" className="button">
            Your payments
          </Link>
        </p>
      </section>
    </div>
  );
}

export function PaymentCancel() {
  usePageTitle("Payment cancelled");
  return (
    <div className="page narrow">
      <section className="card center">
        <h1>Nothing was charged</h1>
        <p className="soft">You left the payment page before paying.</p>
        <Notice tone="soft">
          Pressing Buy again reopens the same checkout for a while, so you won't be charged twice.
        </Notice>
        <p className="actions center">
          <Link to="/credits" className="button main">
            Back to packages
          </Link>
          <Link to="/" className="button">
            Home
          </Link>
        </p>
      </section>
    </div>
  );
}
