// The list of sub-routers. The contract of their inputs and outputs is shared/src/contract.ts.
import { adminRouter } from "./admin.ts";
import { aiRouter } from "./ai.ts";
import { authRouter } from "./auth.ts";
import { creditRouter } from "./credit.ts";
import { paymentRouter } from "./payment.ts";
import { serviceRouter } from "./service.ts";
import { router } from "../trpc/trpc.ts";
import { userRouter } from "./user.ts";

export const appRouter = router({
  auth: authRouter,
  user: userRouter,
  credit: creditRouter,
  payment: paymentRouter,
  ai: aiRouter,
  service: serviceRouter,
  admin: adminRouter,
});
