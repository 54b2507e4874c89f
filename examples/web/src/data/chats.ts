// Conversations: their shape, which turns are sent to the model, and asking.
import type { AI_LIMITS, ChatMessage } from "@skywork/shared";
import { newKey } from "../format.ts";
import { createLocalStore, type Kept, type LocalStore } from "./local-store.ts";
import { isInProgress, newRun, type Runner, type RunState, type RunTarget } from "./runs.ts";

/** The chat features, in the order in which they are offered. */
export const CHAT_FEATURES = ["chat-flash", "chat-pro"] as const;
export type ChatFeature = (typeof CHAT_FEATURES)[number];

export interface Question {
  readonly role: "user";
  readonly id: string;
  readonly content: string;
}

export interface Answer {
  readonly role: "assistant";
  readonly id: string;
  readonly feature: ChatFeature;
  readonly content: string;
  readonly run: RunState;
}

export type Turn = Question | Answer;

export interface Chat extends Kept {
  readonly title: string;
  readonly turns: readonly Turn[];
}

/** The server's limits, copied so that no schema is bundled for two numbers. The type keeps them correct. */
export const LIMITS: Pick<typeof AI_LIMITS, "messages" | "conversationLength"> = {
  messages: 50,
  conversationLength: 32_000,
};

const MAX_CHATS = 50;
const TITLE_LENGTH = 60;

/** The conversations of one user in this browser. */
export function openChats(userId: string): LocalStore<Chat> {
  return createLocalStore<Chat>({
    prefix: `skywork.chat.${userId}.`,
    max: MAX_CHATS,
    isItem: (value): value is Chat =>
      typeof value === "object" && value !== null && "turns" in value && "id" in value,
  });
}

/** Whether an answer is being written in this conversation. */
export function isAnswering(chat: Chat | undefined): boolean {
  return chat?.turns.some((turn) => turn.role === "assistant" && isInProgress(turn.run)) ?? false;
}

/** The latest turns before `answerId` that fit the server's limits. Empty answers are left out. */
export function messagesFor(chat: Chat, answerId: string): ChatMessage[] {
  const end = chat.turns.findIndex((turn) => turn.id === answerId);
  const messages: ChatMessage[] = [];
  let length = 0;
  for (const { role, content } of chat.turns.slice(0, end).toReversed()) {
    if (content.trim() === "") continue;
    length += content.length;
    if (length > LIMITS.conversationLength || messages.length === LIMITS.messages) break;
    messages.unshift({ role, content });
  }
  return messages;
}

interface Place {
  readonly chats: LocalStore<Chat>;
  readonly runner: Runner;
}

/** Asks a question in the conversation `chatId`, or in a new one. Returns the conversation's id. */
export function ask(
  { chats, runner }: Place,
  asked: { chatId: string | null; feature: ChatFeature; text: string },
): string {
  const content = asked.text.trim();
  const known = asked.chatId === null ? undefined : chats.get(asked.chatId);
  const chat: Chat = known ?? {
    id: newKey(),
    updatedAt: Date.now(),
    title: content.replace(/\s+/g, " ").slice(0, TITLE_LENGTH),
    turns: [],
  };
  const answer = newAnswer(asked.feature);
  chats.put(
    {
      ...chat,
      updatedAt: Date.now(),
      turns: [...chat.turns, { role: "user", id: newKey(), content }, answer],
    },
    { now: true },
  );
  runner.drive(targetOf(chats, chat.id, answer.id));
  return chat.id;
}

/** Replaces the last answer with a new one: a new run, charged again. */
export function regenerate({ chats, runner }: Place, chat: Chat, feature: ChatFeature): void {
  const last = chat.turns.at(-1);
  if (last?.role !== "assistant" || isInProgress(last.run)) return;
  const answer = newAnswer(feature);
  const turns = [...chat.turns.slice(0, -1), answer];
  chats.put({ ...chat, updatedAt: Date.now(), turns }, { now: true });
  runner.drive(targetOf(chats, chat.id, answer.id));
}

/** Retries the same request with its idempotency key, so it is charged at most once. */
export function retryRun({ chats, runner }: Place, chat: Chat, answer: Answer): void {
  const target = targetOf(chats, chat.id, answer.id);
  target.update({ phase: "starting", refusal: null });
  runner.drive(target);
}

/** Resumes every answer that was in progress, as far as this browser knows. */
export function resumeChats({ chats, runner }: Place): void {
  for (const chat of chats.all())
    for (const turn of chat.turns)
      if (turn.role === "assistant" && isInProgress(turn.run))
        runner.drive(targetOf(chats, chat.id, turn.id));
}

function newAnswer(feature: ChatFeature): Answer {
  return { role: "assistant", id: newKey(), feature, content: "", run: newRun(newKey()) };
}

/** The run of one answer. */
export function targetOf(chats: LocalStore<Chat>, chatId: string, answerId: string): RunTarget {
  const find = () => {
    const chat = chats.get(chatId);
    const answer = chat?.turns.find((turn) => turn.id === answerId);
    return chat !== undefined && answer?.role === "assistant" ? { chat, answer } : null;
  };
  const change = (patch: (answer: Answer) => Answer, now: boolean) => {
    const found = find();
    if (found === null) return;
    const turns = found.chat.turns.map((turn) =>
      turn.id === answerId ? patch(found.answer) : turn,
    );
    chats.put({ ...found.chat, turns }, { now });
  };
  const begun = find();
  const input = {
    feature: begun?.answer.feature ?? "chat-flash",
    messages: begun === null ? [] : messagesFor(begun.chat, answerId),
    idempotencyKey: begun?.answer.run.key ?? "",
  };
  return {
    input,
    state: () => find()?.answer.run ?? null,
    update: (patch) => change((answer) => ({ ...answer, run: { ...answer.run, ...patch } }), true),
    take(event, lastEventId) {
      if (event.type !== "text") return;
      change(
        (answer) => ({
          ...answer,
          content: answer.content + event.text,
          run: { ...answer.run, phase: "running", lastEventId },
        }),
        false,
      );
    },
  };
}
