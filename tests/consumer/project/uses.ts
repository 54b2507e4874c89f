// What a stranger's frontend writes against @skywork/shared: all of it must compile, and each planted mistake must not.
import {
  type AppErrorData,
  type AppRouter,
  createClient,
  ERROR_CODES,
  type ErrorCode,
  FEATURES,
  type Feature,
} from "@skywork/shared";
import { createTRPCClient, httpBatchLink } from "@trpc/client";
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";

type Inputs = inferRouterInputs<AppRouter>;
type Outputs = inferRouterOutputs<AppRouter>;

/** Compiles only if `Left` and `Right` are the very same type. */
type Same<Left, Right> =
  (<T>() => T extends Left ? 1 : 2) extends <T>() => T extends Right ? 1 : 2 ? true : false;
const holds = <T extends true>(): T | undefined => undefined;

export const plain = createTRPCClient<AppRouter>({
  links: [httpBatchLink({ url: "http://localhost:5000/api/trpc" })],
});

export async function whatAFrontendDoes(): Promise<string> {
  const balance = await plain.credit.balance.query();
  const credits: number = balance.credits;
  const expiry: string | null | undefined = balance.grants[0]?.expiresAt;
  const spent = await plain.credit.spend.mutate({
    feature: "chat-flash",
    idempotencyKey: "a-key",
    metadata: { model: "flash" },
  });
  const replayed: boolean = spent.replayed;
  const { packages } = await plain.payment.packages.query();
  const { checkoutUrl } = await plain.payment.checkout.mutate({
    packageId: packages[0]?.id ?? "small",
  });
  const { user } = await plain.auth.me.query();
  plain.credit.onChange.subscribe(undefined, {
    onData: (change) => {
      const seq: number = change.seq;
      const available: number = change.available;
      return seq + available;
    },
  });
  return [credits, expiry, replayed, checkoutUrl, user.email].join();
}

export async function whatTheCompilerRefuses(): Promise<void> {
  // @ts-expect-error no such feature
  await plain.credit.spend.mutate({ feature: "mind-reading", idempotencyKey: "a-key" });
  // @ts-expect-error the key is required
  await plain.credit.spend.mutate({ feature: "chat-flash" });
  // @ts-expect-error a query is not called as a mutation
  await plain.credit.balance.mutate();
  // @ts-expect-error no such procedure
  await plain.credit.mint.mutate();
  // @ts-expect-error a package is named by a string
  await plain.payment.checkout.mutate({ packageId: 5 });
  const { credits } = await plain.credit.balance.query();
  // @ts-expect-error credits are a number
  const text: string = credits;
  // @ts-expect-error an output has no field of that name
  const { secret } = await plain.credit.balance.query();
  console.log(text, secret);
}

// Not `any`, which would let everything above through.
holds<Same<Outputs["credit"]["balance"]["credits"], number>>();
holds<Same<Outputs["credit"]["spend"]["replayed"], boolean>>();
holds<Same<Inputs["credit"]["spend"]["feature"], Feature>>();
holds<Same<Inputs["payment"]["checkout"], { packageId: string }>>();
holds<Same<(typeof FEATURES)[number], Feature>>();

/** An error's details follow from its code. */
export function explain(error: AppErrorData): string {
  if (error.code === "INSUFFICIENT_CREDITS") {
    const shortfall: number = error.shortfall;
    return `You are ${shortfall} credits short.`;
  }
  if (error.code === "RATE_LIMITED") return `Wait ${error.retryAfterSeconds} s.`;
  // @ts-expect-error not an error of the closed list
  if (error.code === "TEAPOT") return "";
  // @ts-expect-error only INSUFFICIENT_CREDITS knows a shortfall
  if (error.code === "FORBIDDEN") return String(error.shortfall);
  const code: ErrorCode = error.code;
  return String(ERROR_CODES[code].httpStatus);
}

export const client = createClient({
  url: "http://localhost:5000/api/trpc",
  getAccessToken: () => null,
});
