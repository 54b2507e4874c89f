// Everything that clients of the Skywork backend may import: one flat entry point, because this is a package.
export {
  AI_LIMITS,
  type ChatMessage,
  type Deck,
  RUN_OUTCOMES,
  type RunEvent,
  type RunOutcome,
  type Slide,
} from "./ai.ts";
export type { EventState } from "./admin.ts";
export type { Role } from "./auth.ts";
export type { EntryType, HoldState } from "./credit.ts";
export { ENTRY_TYPES, HOLD_STATES } from "./credit.ts";
export { createClient, type SkyworkClientOptions } from "./client.ts";
export { contract } from "./contract.ts";
export type {
  AppErrorData,
  ErrorCode,
  ErrorDetails,
  SignInError,
} from "./errors.ts";
export { ERROR_CODES, SIGN_IN_ERRORS } from "./errors.ts";
export { FEATURES, FEATURE_TABLE, type Feature, type FeatureDefinition } from "./features.ts";
export { PAYMENT_STATES, type PaymentState } from "./payment.ts";
export type { AppErrorShape, AppRouter } from "./router.ts";
export { refreshInTurn } from "./turns.ts";
