// What the contract suites share: the back end of the project, opened, and users in it.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe } from "vitest";
import { available } from "../support/backend.ts";
import type { OpenedBackend } from "../support/databases.ts";

/** Runs `suite` on the project's back end: a fresh one, dropped afterwards. */
export function describeContract(
  name: string,
  suite: (subject: () => OpenedBackend) => void,
): void {
  describe(name, () => {
    let opened: OpenedBackend | undefined;
    beforeAll(async () => {
      opened = await available.open();
    });
    afterAll(() => opened?.close());
    suite(() => {
      if (opened === undefined) throw new Error("the back end is not open yet");
      return opened;
    });
  });
}

/** Inserts a user and answers its id. */
export async function createUser({ backend }: OpenedBackend, credits = 0): Promise<string> {
  const id = randomUUID();
  await backend.database.models.user.create({ data: { id, email: `${id}@example.com`, credits } });
  return id;
}
