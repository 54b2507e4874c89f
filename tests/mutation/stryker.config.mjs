// Mutation testing of the pure parts of money and sessions by their unit tests (SECURITY.md has the score).
// npm install --no-save @stryker-mutator/core @stryker-mutator/vitest-runner
// npx stryker run tests/mutation/stryker.config.mjs
export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner"],
  vitest: { configFile: "tests/mutation/vitest.config.ts" },
  // The type checker of this project has no JavaScript API, which Stryker would ask for.
  tsconfigFile: "none.json",
  coverageAnalysis: "perTest",
  concurrency: 2,
  timeoutMS: 20_000,
  reporters: ["clear-text", "progress"],
  // Texts of errors and logs are no behaviour to defend.
  mutator: { excludedMutations: ["StringLiteral"] },
  mutate: [
    "server/ledger/model/*.ts",
    "server/ledger/operations/*.ts",
    "server/auth/session/access-token.ts",
    "server/auth/session/refresh-token.ts",
    "server/auth/sign-in/return-to.ts",
    "server/auth/sign-in/sign-in-state.ts",
    "server/http/cookies.ts",
    "server/http/client-address.ts",
    "server/payment/catalog/{invoice-credits,kept-credits,billing-months,suggestion}.ts",
    "server/ai/{charge,event-ids,deck-parser}.ts",
  ],
};
