// The way to the payment page and to the customer portal.
import { useMutation } from "@tanstack/react-query";
import { leaveFor } from "../router.tsx";
import { useSkywork } from "./skywork.tsx";

/** Buys a package. Pressing twice is harmless: the server gives the same open checkout again. */
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
