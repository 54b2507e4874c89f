// Writes the stand-in model's answers: readable text about the prompt, always saying that it is a stand-in.

/** A chat message as in the request body. */
export interface WireMessage {
  role: string;
  content: unknown;
}

const MAX_QUOTE = 160;

/** Writes the answer to a conversation, in Markdown. */
export function writeAnswer(messages: readonly WireMessage[]): string {
  const asked = textOf(messages.findLast(({ role }) => role === "user"));
  const earlier = messages.filter(({ role }) => role === "user").length - 1;
  const subject = quote(asked);
  const memory =
    earlier > 0
      ? `You have asked me ${earlier} ${earlier === 1 ? "thing" : "things"} before. `
      : "";
  return [
    `You asked: *${subject}*`,
    "",
    `${memory}I am a **stand-in model**: I run on this machine, cost nothing and know nothing. A real model would answer here. What you see is the real way an answer takes: it is streamed, it can be stopped, and it is charged for what arrived.`,
    "",
    "## What a real answer would do",
    "",
    `1. Say in one sentence what "${quote(asked, 60)}" comes down to.`,
    "2. Give the two or three facts that matter, each with its reason.",
    "3. Show an example that you can copy.",
    "",
    "```sh",
    "# Point the server at any OpenAI-compatible API:",
    "AI_BASE_URL=https://api.openai.com/v1",
    "AI_API_KEY=sk-...",
    "AI_MODEL_FLASH=gpt-5-mini",
    "```",
    "",
    "> Set these in `.env`, start again, and this text is written by a model that knows something.",
  ].join("\n");
}

/** Writes a deck about the prompt's topic, as the JSON that the server asks a model for. */
export function writeDeck(messages: readonly WireMessage[]): string {
  const asked = textOf(messages.findLast(({ role }) => role === "user"));
  const given = deckIn(asked);
  if (given !== null) return JSON.stringify(editDeck(given, asked));
  const count = Math.min(30, Math.max(1, Number(/exactly (\d+) slides/.exec(asked)?.[1] ?? 8)));
  const topic = quote(asked.split("\n\n").slice(1).join(" ") || asked, 80);
  const slides = Array.from({ length: count }, (_, index) => slideAbout(topic, index, count));
  return JSON.stringify({ title: topic, slides });
}

const ANGLES = [
  ["Why it matters", "Who is affected, and how much", "What happens if nothing is done"],
  ["Where we are", "The numbers of today", "What was tried before"],
  ["The idea", "One sentence that says it all", "What is new about it"],
  ["How it works", "The steps, in order", "Who does what"],
  ["An example", "A day with it", "A day without it"],
  ["What it costs", "Money, time and people", "What it saves"],
  ["Risks", "What could go wrong", "How we would notice"],
  ["Next steps", "What is to be decided today", "Who begins, and when"],
] as const;

function slideAbout(topic: string, index: number, count: number) {
  const angle = ANGLES[index % ANGLES.length] ?? ANGLES[0];
  const isFirst = index === 0;
  return {
    title: isFirst ? topic : angle[0],
    bullets: isFirst
      ? [
          "Written by a stand-in model",
          `${count} slides`,
          "Every word is a placeholder for a real one",
        ]
      : [angle[1], angle[2], `All of it about ${topic}`],
    notes: `Slide ${index + 1} of ${count}. A real model would write here what to say about "${topic}".`,
  };
}

interface Deck {
  title: string;
  slides: { title: string; bullets: string[]; notes?: string }[];
}

/** The deck that the server includes in its prompt for an edit; null when there is none. */
function deckIn(asked: string): Deck | null {
  const line = asked.split("\n").find((one) => one.startsWith('{"'));
  if (line === undefined) return null;
  try {
    const deck = JSON.parse(line) as Deck;
    return Array.isArray(deck.slides) ? deck : null;
  } catch {
    return null;
  }
}

function editDeck(deck: Deck, asked: string): Deck {
  const instruction = quote(asked.split("\n\n").at(-1) ?? "", 100);
  return {
    title: deck.title,
    slides: deck.slides.map((slide) => ({
      ...slide,
      bullets: [...slide.bullets.slice(0, 5), `Changed as asked: ${instruction}`],
      notes: slide.notes ?? "Edited by a stand-in model.",
    })),
  };
}

function textOf(message: WireMessage | undefined): string {
  return typeof message?.content === "string" ? message.content : "";
}

/** A text on one line, truncated to at most `maxLength` characters. */
function quote(text: string, maxLength = MAX_QUOTE): string {
  const line = text.replace(/\s+/g, " ").trim();
  const characters = Array.from(line);
  return characters.length <= maxLength ? line : `${characters.slice(0, maxLength - 1).join("")}…`;
}
