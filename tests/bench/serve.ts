// Owns what every measured server process does: says its port, tells the CPU it has used, ends with its parent.

/** Microseconds of CPU, user and system, since the process began. */
export interface CpuAnswer {
  readonly cpuMicroseconds: number;
}

/** What a server process says first. */
export interface PortAnswer {
  readonly port: number;
}

/** Answers the parent until it lets go. */
export function serve(port: number): void {
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMicroseconds: user + system } satisfies CpuAnswer);
  });
  process.once("disconnect", () => process.exit(0));
  process.send?.({ port } satisfies PortAnswer);
}
