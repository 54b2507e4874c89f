// The unit tests that the mutation run asks (stryker.config.mjs).
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/unit/{auth,ledger,payment,ai}/**/*.test.ts", "tests/unit/address.test.ts"],
    exclude: ["tests/unit/auth/security-md.test.ts"],
    testTimeout: 30_000,
  },
});
