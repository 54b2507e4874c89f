// The row about open streams: what each costs in memory, and how fast balances are answered alongside all of them.
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { memoryOf } from "./cpu.ts";
import { openHttpStage } from "./http-stage.ts";
import type { Report } from "./report.ts";

const STREAMS = process.env["FULL"] === "1" ? 10_000 : 1_000;
/** The most that one user may have open. */
const STREAMS_PER_USER = 20;
/** Less than one address may have open. */
const STREAMS_PER_ADDRESS = 1_000;
/** The server accepts 10,000 connections; these are left for other clients. */
const OTHER_CONNECTIONS = 50;
const OPENING_AT_ONCE = 50;
const CALLERS = 16;
const FIRST_EVENT_WITHIN_MS = 30_000;
const SETTLE_MS = 3_000;

/** An open stream that counts its events. */
interface Stream {
  readonly socket: Socket;
  events: number;
}

/** Measures streams.open: the memory of each of many live balances, some of them never read, and balances alongside. */
export async function benchStreams(report: Report, seconds: number): Promise<void> {
  const stage = await openHttpStage();
  if (stage === null) return report.say("streams: no database");
  const streams: Stream[] = [];
  try {
    const server = await stage.startServer();
    const tokens = await stage.signIn(Math.ceil(STREAMS / STREAMS_PER_USER));
    await stage.spends({ port: server.port, tokens, inFlight: CALLERS, seconds });
    const residentKib = () => memoryOf(server.pid, "VmRSS") ?? Number.NaN;
    const before = residentKib();
    const count = STREAMS - OTHER_CONNECTIONS;
    await openStreams(server.port, tokens, count, streams);
    await delay(SETTLE_MS);
    const each = (residentKib() - before) / count;
    report.say(`streams.open: ${count} streams, ${each.toFixed(1)} KiB each`);
    const stalled = streams.filter((_, index) => index % 2 === 0);
    for (const { socket } of stalled) socket.pause();
    const answer = await stage.spends({ port: server.port, tokens, inFlight: CALLERS, seconds });
    const withStalled = (residentKib() - before) / count;
    const told = streams.reduce((sum, { events }) => sum + events, 0);
    const closed = streams.filter(({ socket }) => socket.closed).length;
    if (closed > 0) throw new Error(`${closed} of ${count} streams were closed.`);
    report.add(
      "streams.open",
      answer,
      null,
      `spends with ${count} live balances open: ${each.toFixed(1)} KiB each, ${withStalled.toFixed(1)} after ${told} events, half of the readers stalled`,
    );
  } catch (error) {
    report.say(`streams.open: ${streams.length} open, then: ${String(error)}`);
    throw error;
  } finally {
    for (const { socket } of streams) socket.destroy();
    await stage.close();
  }
}

async function openStreams(
  port: number,
  tokens: readonly string[],
  count: number,
  streams: Stream[],
): Promise<void> {
  for (let opened = 0; opened < count; opened += OPENING_AT_ONCE) {
    const some = Array.from({ length: Math.min(OPENING_AT_ONCE, count - opened) }, (_, index) => {
      const number = opened + index;
      return openStream(port, tokens[number % tokens.length] ?? "", number);
    });
    streams.push(...(await Promise.all(some)));
  }
}

/** Opens a stream; resolves with its first event. */
function openStream(port: number, token: string, number: number): Promise<Stream> {
  const localAddress = `127.0.1.${1 + Math.floor(number / STREAMS_PER_ADDRESS)}`;
  const socket = connect({ port, host: "127.0.0.1", localAddress });
  const stream: Stream = { socket, events: 0 };
  socket.write(
    `GET /api/trpc/credit.onChange HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\naccept: text/event-stream\r\nauthorization: Bearer ${token}\r\n\r\n`,
  );
  return new Promise((resolve, reject) => {
    let head = "";
    const late = setTimeout(() => {
      reject(new Error(`Stream ${number} has told nothing: ${head.slice(0, 500)}`));
    }, FIRST_EVENT_WITHIN_MS);
    socket.setEncoding("latin1");
    socket.on("error", reject);
    socket.on("data", (chunk: string) => {
      const events = chunk.split('"seq":').length - 1;
      stream.events += events;
      if (events > 0) {
        clearTimeout(late);
        resolve(stream);
      } else if (stream.events === 0) head += chunk;
    });
  });
}
