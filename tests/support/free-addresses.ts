// Free addresses for a test that runs `npm run dev`.
import { busyPorts, planDevelopment } from "../../server/cli/dev/environment.ts";
import { freePort } from "./ports.ts";

/** The addresses that `npm run dev` is configured with. */
interface Addresses {
  readonly PORT: string;
  readonly FRONTEND_URL: string;
}

/** Returns addresses whose ports are free, including those of the sandboxes. */
export async function freeAddresses(): Promise<Addresses> {
  for (;;) {
    const PORT = String(await freePort());
    const FRONTEND_URL = `http://localhost:${await freePort()}`;
    try {
      if ((await busyPorts(planDevelopment({ PORT, FRONTEND_URL }))) === null)
        return { PORT, FRONTEND_URL };
    } catch {
      // At the very end of the port range there is no room for the sandboxes.
    }
  }
}

/** The URLs that such an `npm run dev` serves: the API, the sandboxes on the ports after it, and the frontend. */
export const urlsOf = ({ PORT, FRONTEND_URL }: Addresses): string[] => [
  ...[0, 1, 2].map((after) => `http://localhost:${Number(PORT) + after}`),
  FRONTEND_URL,
];
