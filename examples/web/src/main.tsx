// The entry point of the app in the browser.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { createSkywork, SkyworkProvider } from "./data/skywork.tsx";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";
import "./styles/chat.css";
import "./styles/admin.css";

const skywork = createSkywork(import.meta.env.VITE_API_URL ?? "http://localhost:5000");

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root.");
createRoot(root).render(
  <StrictMode>
    <SkyworkProvider skywork={skywork}>
      <App />
    </SkyworkProvider>
  </StrictMode>,
);
