// Owns the way to the payment page and to the customer portal.
import { useMutation } from "@tanstack/react-query";
import { useSkywork } from "./skywork.tsx";

/**
 * Leaves for the hosted page. Stays "pending" until the browser is gone; a page that Back brings out of the browser's memory
 * is ready for another press.
 */
function leaveFor(url: string): Promise<void> {
  window.location.assign(url);
  return new Promise((resolve) => {
    window.addEventListener("pageshow", (event) => event.persisted && resolve(), { once: true });
  });
}

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
