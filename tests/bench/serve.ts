// What every measured process does: reports its port and process id, and exits with its parent.

/** The first message of a process. */
export interface PortAnswer {
  readonly port: number;
  readonly pid: number;
}

/** Reports to the parent, and exits when it disconnects. */
export function serve(port: number): void {
  process.once("disconnect", () => process.exit(0));
  process.send?.({ port, pid: process.pid } satisfies PortAnswer);
}
