// The marks in `roll_ups`: up to which moment some periodic work, such as adding up usage, is done.
import type { PrismaModels } from "./ports.ts";

type Models = Pick<PrismaModels, "rollUp">;

/** Returns a mark in milliseconds since 1970; 0 where there is none. */
export async function readMark({ rollUp }: Models, name: string): Promise<number> {
  return (await rollUp.findUnique({ where: { name } }))?.rolledTo.getTime() ?? 0;
}

/** Advances an existing mark to `ms`; never moves it back. */
export async function advanceMark({ rollUp }: Models, name: string, ms: number): Promise<void> {
  const rolledTo = new Date(ms);
  await rollUp.updateMany({ where: { name, rolledTo: { lt: rolledTo } }, data: { rolledTo } });
}

/** Sets a mark to `ms`, whatever it was, or creates it. */
export async function setMark({ rollUp }: Models, name: string, ms: number): Promise<void> {
  const rolledTo = new Date(ms);
  try {
    await rollUp.upsert({ where: { name }, create: { name, rolledTo }, update: { rolledTo } });
  } catch (error) {
    // The loser of the race for the first row keeps the winner's value, which is as good.
    if ((await rollUp.findUnique({ where: { name } })) === null) throw error;
  }
}
