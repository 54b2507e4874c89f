// Addresses for one `npm run dev` of a test's own.
import { busyPorts, planDevelopment } from "../../server/cli/dev/environment.ts";
import { freePort } from "./ports.ts";

/** What `npm run dev` is told of its addresses. */
interface Addresses {
  readonly PORT: string;
  readonly FRONTEND_URL: string;
}

/** Addresses whose ports are free, those of the sandboxes too. */
export async function freeAddresses(): Promise<Addresses> {
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

/** Where such an `npm run dev` answers: the API, the sandboxes on the ports after it, and the frontend. */
export const urlsOf = ({ PORT, FRONTEND_URL }: Addresses): string[] => [
  ...[0, 1, 2].map((after) => `http://localhost:${Number(PORT) + after}`),
  FRONTEND_URL,
];
