// The marks in `roll_ups`: up to which moment something is done, such as adding up what was used.
import type { PrismaModels } from "./ports.ts";

type Models = Pick<PrismaModels, "rollUp">;

/** Returns a mark in milliseconds since 1970; 0 where there is none. */
export async function readMark({ rollUp }: Models, name: string): Promise<number> {
  return (await rollUp.findUnique({ where: { name } }))?.rolledTo.getTime() ?? 0;
}

/** Moves a mark that is there on to `ms`, never back. */
export async function advanceMark({ rollUp }: Models, name: string, ms: number): Promise<void> {
  const rolledTo = new Date(ms);
  await rollUp.updateMany({ where: { name, rolledTo: { lt: rolledTo } }, data: { rolledTo } });
}

/** Sets a mark to `ms`, wherever it was. */
export async function setMark({ rollUp }: Models, name: string, ms: number): Promise<void> {
  const rolledTo = new Date(ms);
  try {
    await rollUp.upsert({ where: { name }, create: { name, rolledTo }, update: { rolledTo } });
  } catch (error) {
    // Who loses the race for the first row leaves the winner's, which is as good.
    if ((await rollUp.findUnique({ where: { name } })) === null) throw error;
  }
}
