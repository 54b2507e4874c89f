// Owns the list of sub-routers. Their contract, input by output, is shared/src/contract.ts.
import { adminRouter } from "./admin/admin.router.ts";
import { authRouter } from "./auth/auth.router.ts";
import { creditRouter } from "./credit/credit.router.ts";
import { paymentRouter } from "./payment/payment.router.ts";
import { serviceRouter } from "./service/service.router.ts";
import { router } from "./trpc/trpc.ts";
import { userRouter } from "./user/user.router.ts";

export const appRouter = router({
  auth: authRouter,
  user: userRouter,
  credit: creditRouter,
  payment: paymentRouter,
  service: serviceRouter,
  admin: adminRouter,
});
