// Opens the payment page and the customer portal.
import { useMutation } from "@tanstack/react-query";
import { leaveFor } from "../router.tsx";
import { useSkywork } from "./skywork.tsx";

/** Buys a package. Pressing twice is harmless, because the server returns the same open checkout. */
export function useBuy() {
  const { api } = useSkywork();
  return useMutation({
    mutationFn: async (packageId: string) =>
      leaveFor((await api.payment.checkout.mutate({ packageId })).checkoutUrl),
  });
}

export function useSubscribe() {
  const { api } = useSkywork();
  return useMutation({
    mutationFn: async (planId: string) =>
      leaveFor((await api.payment.subscribe.mutate({ planId })).checkoutUrl),
  });
}

export function usePortal() {
  const { api } = useSkywork();
  return useMutation({
    mutationFn: async () => leaveFor((await api.payment.portal.mutate()).url),
  });
}
