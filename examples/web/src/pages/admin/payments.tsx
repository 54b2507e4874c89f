// A user's payments, with refunds. The server also takes back the refunded credits, by its own rule.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { afterAdminWrite, type UserPage } from "../../data/admin.ts";
import { useActionKey, usePress } from "../../data/presses.ts";
import { useSkywork } from "../../data/skywork.tsx";
import { credits, dateTime, money, moneyDigits } from "../../format.ts";
import { Badge, Button, Card, Empty, Failure } from "../../ui/basics.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { isUncertain, PAYMENT_WORDS } from "../../words.ts";

type Payment = UserPage["payments"][number];

export function Payments({ payments }: { payments: readonly Payment[] }) {
  return (
    <Card title="Payments">
      {payments.length === 0 && <Empty>No payments.</Empty>}
      <ul className="list" data-testid="admin-payments">
        {payments.map((payment) => (
          <PaymentLine key={payment.id} payment={payment} />
        ))}
      </ul>
    </Card>
  );
}

function PaymentLine({ payment }: { payment: Payment }) {
  const [refunding, setRefunding] = useState(false);
  // Outlives the dialog, so that closing it after a lost response and trying again refunds only once.
  const actionKey = useActionKey();
  const paid = money(payment.amount, payment.currency);
  const left = payment.amount - payment.refundedAmount;
  const words = PAYMENT_WORDS[payment.status];
  return (
    <li>
      <span>
        <b>{paid}</b> <Badge tone={words.tone}>{words.text}</Badge>
        <span className="soft">
          {dateTime(payment.createdAt)} · {credits(payment.creditsPurchased)}
          {payment.refundedAmount > 0 &&
            ` · ${money(payment.refundedAmount, payment.currency)} refunded`}
        </span>
      </span>
      {left > 0 && ["SUCCESS", "PARTIALLY_REFUNDED"].includes(payment.status) && (
        <Button onClick={() => setRefunding(true)}>
          Refund
          <span className="visually-hidden">
            {" "}
            {paid} of {dateTime(payment.createdAt)}
          </span>
        </Button>
      )}
      {refunding && (
        <Refund payment={payment} actionKey={actionKey} onClose={() => setRefunding(false)} />
      )}
    </li>
  );
}

function Refund({
  payment,
  actionKey,
  onClose,
}: {
  payment: Payment;
  actionKey: ReturnType<typeof useActionKey>;
  onClose: () => void;
}) {
  const { api } = useSkywork();
  const queryClient = useQueryClient();
  const press = usePress();
  const { currency } = payment;
  const unit = 10 ** moneyDigits(currency);
  const left = payment.amount - payment.refundedAmount;
  const [amount, setAmount] = useState((left / unit).toFixed(moneyDigits(currency)));
  const [reason, setReason] = useState("");
  const refund = useMutation({
    mutationFn: (input: { paymentId: string; amount: number; reason?: string }) =>
      api.admin.refundPayment.mutate({ ...input, idempotencyKey: actionKey.keyFor(input) }),
    retry: (attempts, error) => attempts < 2 && isUncertain(error),
    onSuccess: () => {
      actionKey.settled();
      onClose();
      return afterAdminWrite(queryClient);
    },
  });
  const close = () => {
    if (!refund.isPending) onClose();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (refund.isPending) return;
    const input = {
      paymentId: payment.id,
      amount: Math.round(Number(amount) * unit),
      ...(reason.trim() === "" ? {} : { reason: reason.trim() }),
    };
    press(amount, () => refund.mutate(input));
  };
  return (
    <Dialog
      title={`Refund ${money(payment.amount, currency)}`}
      onClose={close}
      actions={
        <>
          <Button aria-disabled={refund.isPending || undefined} onClick={close}>
            Cancel
          </Button>
          <Button type="submit" form="refund" kind="danger" busy={refund.isPending}>
            Refund
          </Button>
        </>
      }
    >
      <form id="refund" onSubmit={submit}>
        <p>The matching share of credits is taken back, even if some have been used.</p>
        <label className="field short">
          <span>Amount in {currency.toUpperCase()}</span>
          <input
            type="number"
            required
            min={1 / unit}
            max={left / unit}
            step={1 / unit}
            value={amount}
            onChange={(event) => setAmount(event.target.value)}
          />
        </label>
        <label className="field">
          <span>Reason (kept in the audit log)</span>
          <input
            value={reason}
            maxLength={500}
            onChange={(event) => setReason(event.target.value)}
          />
        </label>
        <Failure error={refund.error} />
      </form>
    </Dialog>
  );
}
