// A log reader that has stopped reading costs neither unbounded memory nor the end of the process.
import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";

const LOGGER = JSON.stringify(new URL("../../server/lib/logger.ts", import.meta.url).href);
const NODE = [process.execPath, "--expose-gc", "--import", "tsx", "--input-type=module", "-e"];
/** Runs `$@` with its stdout on this test's socket, or on a pipe whose reader starts once a word arrives on fd 3. */
const SHELL = {
  socket: '"$@"; echo "exited $?" >&2',
  pipe: '{ "$@"; echo "exited $?" >&2; } | { read -r word <&3 && cat; }',
};

const started: ChildProcess[] = [];
afterEach(() => {
  // The shell leads its own process group, so everything it started is killed with it.
  for (const { pid, exitCode } of started.splice(0))
    if (pid !== undefined && exitCode === null) process.kill(-pid, "SIGKILL");
});

/** Starts a process that logs using `code`; its lines are not read before `read` is called. */
function start(output: keyof typeof SHELL, code: string) {
  const program = `import { once } from "node:events";
    import { setImmediate as turn } from "node:timers/promises";
    import { createLogger, droppedLines } from ${LOGGER};
    const logger = createLogger({ level: "info", batched: true });
    const say = (word) => process.stderr.write(word + "\\n");
    const log = async (lines) => {
      for (let i = 0; i < lines; i += 1) {
        logger.info({ pad: "x".repeat(1_000) }, "some");
        if (i % 100 === 0) await turn();
      }
    };
    ${code}`;
  const child = spawn("sh", ["-c", SHELL[output], "sh", ...NODE, program], {
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    detached: true,
  });
  started.push(child);
  let [read, said] = ["", ""];
  const onRead = () => child.stdout.on("data", (text: Buffer) => (read += text.toString()));
  child.stderr.on("data", (text: Buffer) => (said += text.toString()));
  if (output === "pipe") onRead();
  return {
    /** Resolves with what follows `word` once the process (or, after it has exited, the shell) has printed it. */
    async said(word: string): Promise<string> {
      const line = new RegExp(`^${word} ?(.*)\n`, "m");
      await expect.poll(() => said, { timeout: 60_000 }).toMatch(line);
      return line.exec(said)?.[1] ?? "";
    },
    read: () => (output === "pipe" ? (child.stdio[3] as typeof child.stdin).end("go\n") : onRead()),
    leave: () => (output === "pipe" ? child.stdio[3]?.destroy() : child.stdout.destroy()),
    goOn: () => child.stdin.write("go\n"),
    lines: () =>
      read
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { level: string; msg: string; dropped?: number }),
  };
}

/** Each test starts processes, which alone takes a while on a slow machine. */
const PATIENCE = { timeout: 180_000 };

describe.each(["pipe", "socket"] as const)(
  "while nobody reads a %s, log lines",
  PATIENCE,
  (output) => {
    it("wait up to a bound and are dropped beyond it, errors last; one line then says how many", async () => {
      const process = start(
        output,
        `const held = () => (gc(), process.memoryUsage().heapUsed + process.memoryUsage().external);
      await log(1_000);
      const before = held();
      await log(30_000);
      logger.error("an error");
      say("held " + (held() - before));
      await once(process.stdin, "data");
      logger.info("after");
      say("dropped " + droppedLines(logger));
      process.stdin.destroy();`,
      );
      expect(Number(await process.said("held"))).toBeLessThan(8 * 1024 * 1024);
      process.read();
      await expect.poll(() => process.lines().at(-1)?.dropped, { timeout: 60_000 }).toBeDefined();
      process.goOn();
      expect(await process.said("exited")).toBe("0");
      await expect.poll(() => process.lines().at(-1)?.msg).toBe("after");
      const lines = process.lines();
      const kept = lines.filter(({ msg }) => msg === "some").length;
      expect(kept).toBeGreaterThan(2_000);
      const dropped = 31_000 - kept;
      expect(lines.slice(kept)).toMatchObject([
        { msg: "an error" },
        { level: "error", dropped },
        { msg: "after" },
      ]);
      expect(await process.said("dropped")).toBe(String(dropped));
    });

    it.each([
      ["by itself", "", "0"],
      ["by process.exit", "process.exit(3);", "3"],
      ["by an error nobody caught", "throw new Error('uncaught');", "1"],
    ])("do not keep a process from ending %s", async (_how, end, code) => {
      const process = start(output, `await log(1_000); say("ending"); ${end}`);
      await process.said("ending");
      const endingAtMs = performance.now();
      expect(await process.said("exited")).toBe(code);
      expect(performance.now() - endingAtMs).toBeLessThan(30_000);
    });

    it("are all written when the process ends and the reader goes on in time", async () => {
      const process = start(output, `await log(1_000); logger.info("last"); say("ending");`);
      await process.said("ending");
      setTimeout(process.read, 200);
      expect(await process.said("exited")).toBe("0");
      await expect.poll(() => process.lines().at(-1)?.msg).toBe("last");
      expect(process.lines().length).toBe(1_001);
    });

    it("do not stop the process where another has made the output wait again", async () => {
      const process = start(
        output,
        `const { spawnSync } = await import("node:child_process");
      await log(100);
      spawnSync("true", { stdio: "inherit" });
      await log(1_000);
      say("still here");`,
      );
      await process.said("still here");
      expect(await process.said("exited")).toBe("0");
    });

    it("are let go when the reader is gone", async () => {
      const process = start(
        output,
        `await log(100);
      say("ready");
      await once(process.stdin, "data");
      await log(1_000);
      say("ending");
      process.exit(0);`,
      );
      await process.said("ready");
      process.leave();
      process.goOn();
      await process.said("ending");
      expect(await process.said("exited")).toBe("0");
    });
  },
);

it("lines of processes that share a pipe come whole when it was full", PATIENCE, async () => {
  const process = start(
    "pipe",
    `const { spawn } = await import("node:child_process");
    const isFirst = process.send === undefined;
    const stdio = ["ignore", "inherit", "inherit", "ipc"];
    if (isFirst) await once(spawn(process.execPath, process.execArgv, { stdio }), "message");
    else process.send("ready");
    await log(300);
    say(isFirst ? "ending" : "other");`,
  );
  await Promise.all([process.said("ending"), process.said("other")]);
  process.read();
  await process.said("exited");
  await expect.poll(() => process.lines().length).toBe(600);
});
