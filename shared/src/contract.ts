// The list of everything a client may call. The server implements exactly this; the compiler checks it.
import { adminContract } from "./admin.ts";
import { aiContract } from "./ai.ts";
import { authContract } from "./auth.ts";
import { creditContract } from "./credit.ts";
import { paymentContract } from "./payment.ts";
import { serviceContract } from "./service.ts";
import { userContract } from "./user.ts";

export const contract = {
  auth: authContract,
  user: userContract,
  credit: creditContract,
  payment: paymentContract,
  ai: aiContract,
  service: serviceContract,
  admin: adminContract,
};
