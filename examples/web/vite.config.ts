// Vite's configuration for serving and building the reference frontend.
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig, loadEnv, type Plugin } from "vite";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));

/** What the built pages may load and connect to: their own files, the API, and avatars. Inline scripts are blocked. */
function policyFor(apiUrl: string): string {
  const api = new URL(apiUrl).origin;
  // In development, avatars may also come from a stand-in on this machine.
  const pictures = api.startsWith("https:") ? "https:" : "https: http://localhost:*";
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    `img-src 'self' data: ${pictures}`,
    `connect-src ${api}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** Puts the policy into the page itself, so that it applies whatever serves the page. */
function contentSecurityPolicy(policy: string): Plugin {
  return {
    name: "content-security-policy",
    // In development, Vite itself uses inline scripts.
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: policy },
        injectTo: "head-prepend",
      },
    ],
  };
}

export default defineConfig(({ mode }) => {
  const given = loadEnv(mode, FOLDER, "VITE_")["VITE_API_URL"];
  const policy = policyFor(given ?? "http://localhost:5000");
  return {
    plugins: [react(), contentSecurityPolicy(policy)],
    resolve: {
      // This repository uses the package's sources; elsewhere, install @skywork/shared.
      alias: {
        "@skywork/shared": fileURLToPath(new URL("../../shared/src/index.ts", import.meta.url)),
      },
    },
    server: { host: "localhost", port: 3000, strictPort: true },
    preview: {
      host: "localhost",
      port: 3000,
      strictPort: true,
      // A page cannot set these itself (frame-ancestors does not work in a meta tag), so its server must send them.
      headers: {
        "Content-Security-Policy": `${policy}; frame-ancestors 'none'`,
        "X-Content-Type-Options": "nosniff",
      },
    },
  };
});
