// Addresses for one `npm run dev` of a test's own.
import { busyPorts, planDevelopment } from "../../server/cli/dev/environment.ts";
import { freePort } from "./ports.ts";

/** Addresses whose ports are free, those of the sandboxes too. */
export async function freeAddresses(): Promise<{ PORT: string; FRONTEND_URL: string }> {
  for (;;) {
    const PORT = String(await freePort());
    const FRONTEND_URL = `http://localhost:${await freePort()}`;
    try {
      if ((await busyPorts(planDevelopment({ PORT, FRONTEND_URL }))) === null)
        return { PORT, FRONTEND_URL };
    } catch {
      // The last ports of all leave none for the sandboxes.
    }
  }
}
