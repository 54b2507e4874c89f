// Slide decks: their shape, generating and editing. The slides that a run has sent so far are stored with the deck.
import type { AI_LIMITS, Deck, Slide } from "@skywork/shared";
import { newKey } from "../format.ts";
import { createLocalStore, type Kept, type LocalStore } from "./local-store.ts";
import { isInProgress, newRun, type Runner, type RunState, type RunTarget } from "./runs.ts";

export interface StoredDeck extends Kept {
  readonly topic: string;
  readonly slideCount: number;
  /** The deck's current slides. During generation, those that have arrived. */
  readonly slides: readonly Slide[];
  readonly run: RunState;
  /** The edit in progress, or the last one. */
  readonly edit: DeckEdit | null;
  /** The slides from before the last edit. */
  readonly before: readonly Slide[] | null;
}

export interface DeckEdit {
  readonly instruction: string;
  /** The slides sent so far. They replace the old ones when the run ends. */
  readonly slides: readonly Slide[];
  /** The slides it started from. Missing in decks that older versions stored. */
  readonly base?: readonly Slide[];
  readonly run: RunState;
}

/** The server's limits. The type keeps them correct. */
export const LIMITS: Pick<typeof AI_LIMITS, "slides" | "instructionLength"> = {
  slides: 30,
  instructionLength: 4_000,
};

const MAX_DECKS = 30;
const TITLE_LENGTH = 200;

/** The decks of one user in this browser. */
export function openDecks(userId: string): LocalStore<StoredDeck> {
  return createLocalStore<StoredDeck>({
    prefix: `skywork.deck.${userId}.`,
    max: MAX_DECKS,
    isItem: (value): value is StoredDeck =>
      typeof value === "object" && value !== null && "slides" in value && "id" in value,
  });
}

/** The deck's title: its first slide's title, else the requested topic. */
export function deckTitle({ slides, topic }: Pick<StoredDeck, "slides" | "topic">): string {
  const title = slides[0]?.title.trim() ?? "";
  return Array.from(title === "" ? topic.trim() : title)
    .slice(0, TITLE_LENGTH)
    .join("");
}

/** The deck in the shape that the server and the file exports take. */
export function asDeck(stored: Pick<StoredDeck, "slides" | "topic">): Deck {
  return { title: deckTitle(stored), slides: [...stored.slides] };
}

/** The slides to show. During an edit: its slides so far, followed by the old ones that are not replaced yet. */
export function shownSlides({ slides, edit }: StoredDeck): readonly Slide[] {
  if (edit === null || !isInProgress(edit.run)) return slides;
  return [...edit.slides, ...slides.slice(edit.slides.length)];
}

/** Whether a run of this deck is in progress. */
export function isBusy(deck: StoredDeck): boolean {
  return isInProgress(deck.run) || isInProgress(deck.edit?.run);
}

interface Place {
  readonly decks: LocalStore<StoredDeck>;
  readonly runner: Runner;
}

/** Starts generating a deck. Returns its id. */
export function generate(
  { decks, runner }: Place,
  asked: { topic: string; slideCount: number },
): string {
  const deck: StoredDeck = {
    ...asked,
    id: newKey(),
    updatedAt: Date.now(),
    slides: [],
    run: newRun(newKey()),
    edit: null,
    before: null,
  };
  decks.put(deck, { now: true });
  runner.drive(targetOf(decks, deck.id, deck.run.key));
  return deck.id;
}

/** Starts an edit of the whole deck. */
export function edit({ decks, runner }: Place, deck: StoredDeck, instruction: string): void {
  if (isBusy(deck)) return;
  const run = newRun(newKey());
  decks.put(
    { ...deck, updatedAt: Date.now(), edit: { instruction, slides: [], base: deck.slides, run } },
    { now: true },
  );
  runner.drive(targetOf(decks, deck.id, run.key));
}

/** Restores the slides from before the last edit. */
export function undoEdit(decks: LocalStore<StoredDeck>, deck: StoredDeck): void {
  if (deck.before === null || isBusy(deck)) return;
  decks.put({ ...deck, slides: deck.before, before: null, edit: null }, { now: true });
}

/** Retries the same request with its idempotency key, so it is charged at most once. */
export function retryRun({ decks, runner }: Place, deck: StoredDeck, run: RunState): void {
  const target = targetOf(decks, deck.id, run.key);
  target.update({ phase: "starting", refusal: null });
  runner.drive(target);
}

/** Resumes every run of a deck that was in progress, as far as this browser knows. */
export function resumeDecks({ decks, runner }: Place): void {
  for (const deck of decks.all())
    for (const run of [deck.run, deck.edit?.run])
      if (run !== undefined && isInProgress(run)) runner.drive(targetOf(decks, deck.id, run.key));
}

/** The run with this key, which is the deck's own or its edit's. */
export function targetOf(decks: LocalStore<StoredDeck>, deckId: string, key: string): RunTarget {
  const find = () => {
    const deck = decks.get(deckId);
    return deck?.run.key === key || deck?.edit?.run.key === key ? deck : undefined;
  };
  const begun = find();
  return {
    input: inputOf(begun, key),
    state() {
      const deck = find();
      return (deck?.run.key === key ? deck.run : deck?.edit?.run) ?? null;
    },
    update(patch) {
      const deck = find();
      if (deck !== undefined) decks.put(withRun(deck, key, patch), { now: true });
    },
    take(event, lastEventId) {
      const deck = find();
      if (deck === undefined || event.type !== "slide") return;
      const placed = withSlide(deck, key, event);
      decks.put(withRun(placed, key, { phase: "running", lastEventId }));
    },
  };
}

function inputOf(deck: StoredDeck | undefined, key: string): RunTarget["input"] {
  if (deck?.edit?.run.key === key)
    return {
      feature: "ppt-edit",
      deck: asDeck(deck),
      instruction: deck.edit.instruction,
      idempotencyKey: key,
    };
  return {
    feature: "ppt-generate",
    topic: deck?.topic ?? "",
    slideCount: deck?.slideCount,
    idempotencyKey: key,
  };
}

function withSlide(
  deck: StoredDeck,
  key: string,
  { index, slide }: { index: number; slide: Slide },
): StoredDeck {
  const place = (slides: readonly Slide[]) => [...slides.slice(0, index), slide];
  if (deck.edit?.run.key === key)
    return { ...deck, edit: { ...deck.edit, slides: place(deck.edit.slides) } };
  return { ...deck, slides: place(deck.slides) };
}

/** The deck with a change to this run. When an edit ends, its slides replace the deck's. */
function withRun(deck: StoredDeck, key: string, patch: Partial<RunState>): StoredDeck {
  if (deck.edit?.run.key !== key) return { ...deck, run: { ...deck.run, ...patch } };
  const edited = { ...deck.edit, run: { ...deck.edit.run, ...patch } };
  const isNewlyEnded = patch.phase === "ended" && deck.edit.run.phase !== "ended";
  if (!isNewlyEnded || edited.slides.length === 0) return { ...deck, edit: edited };
  // A completed edit may have fewer slides than before. After one that ended early, the remaining old slides stay.
  // A run may end twice: a stop reports the end, and then the stream delivers its last events.
  const before = edited.base ?? deck.slides;
  const rest = edited.run.outcome === "completed" ? [] : before.slice(edited.slides.length);
  return { ...deck, before, slides: [...edited.slides, ...rest], edit: edited };
}
