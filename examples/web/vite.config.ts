// Owns how the reference frontend is served and built.
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  resolve: {
    // Inside this repository the package is read from its sources; elsewhere install @skywork/shared.
    alias: {
      "@skywork/shared": fileURLToPath(new URL("../../shared/src/index.ts", import.meta.url)),
    },
  },
  server: { host: "localhost", port: 3000, strictPort: true },
  preview: { host: "localhost", port: 3000, strictPort: true },
});
