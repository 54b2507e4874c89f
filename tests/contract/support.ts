// Owns running one contract suite, unchanged, on every back end that can be used here.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe } from "vitest";
import {
  type AvailableBackend,
  availableBackends,
  type OpenedBackend,
} from "../support/databases.ts";

/** The back end of the running suite; set before its first test. */
export type Subject = OpenedBackend & { available: AvailableBackend };

/** Runs `suite` once for each back end, with a fresh one that is dropped afterwards. */
export async function onEveryBackend(
  name: string,
  suite: (subject: () => Subject, available: AvailableBackend) => void,
): Promise<void> {
  for (const available of await availableBackends()) {
    describe(`${name} on ${available.name}`, () => {
      let opened: Subject | undefined;
      beforeAll(async () => {
        opened = { ...(await available.open()), available };
      });
      afterAll(() => opened?.close());
      suite(() => {
        if (opened === undefined) throw new Error("the back end is not open yet");
        return opened;
      }, available);
    });
  }
}

/** A key nobody else uses. */
export const uniqueKey = (): string => `{${randomUUID()}}:key`;

/** Inserts a user and answers its id. */
export async function createUser({ backend }: OpenedBackend, credits = 0): Promise<string> {
  const id = randomUUID();
  await backend.database.models.user.create({ data: { id, email: `${id}@example.com`, credits } });
  return id;
}
