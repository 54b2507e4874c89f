// What every measured process does: says its port and its process id, ends with its parent.

/** What a process says first. */
export interface PortAnswer {
  readonly port: number;
  readonly pid: number;
}

/** Tells the parent, and ends when it lets go. */
export function serve(port: number): void {
  process.once("disconnect", () => process.exit(0));
  process.send?.({ port, pid: process.pid } satisfies PortAnswer);
}
