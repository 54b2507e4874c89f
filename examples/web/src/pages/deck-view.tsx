// One deck: its slides as they arrive, presenting, editing by instruction, downloading as a file.
import type { Slide } from "@skywork/shared";
import { type FormEvent, useState } from "react";
import { useMutation } from "@tanstack/react-query";
import { deckMarkdown, deckPptx, fileName, saveFile } from "../data/deck-files.ts";
import {
  asDeck,
  retryRun,
  deckTitle,
  edit,
  isBusy,
  LIMITS,
  shownSlides,
  type StoredDeck,
  targetOf,
  undoEdit,
} from "../data/decks.ts";
import type { Press } from "../data/presses.ts";
import { useCosts } from "../data/queries.ts";
import { isInProgress, type RunState } from "../data/runs.ts";
import { useConnection, type Workspace } from "../data/workspace.ts";
import { credits } from "../format.ts";
import { Button, Card, Failure, Notice } from "../ui/basics.tsx";
import { Icon } from "../ui/icons.tsx";
import { chargeLine, RunReport } from "../ui/run-report.tsx";
import { Present } from "./present.tsx";

interface DeckViewProps {
  readonly workspace: Workspace;
  readonly deck: StoredDeck;
  readonly press: Press;
}

export function DeckView({ workspace, deck, press }: DeckViewProps) {
  const [presenting, setPresenting] = useState(false);
  const slides = shownSlides(deck);
  const busy = isBusy(deck);
  return (
    <div className="page">
      <Card
        title={deckTitle(deck)}
        aside={
          slides.length > 0 && (
            <Button kind="main" onClick={() => setPresenting(true)}>
              <Icon name="play" size={18} /> Present
            </Button>
          )
        }
      >
        <Progress workspace={workspace} deck={deck} press={press} />
        <Outline slides={slides} />
        {!busy && slides.length > 0 && <Files deck={deck} />}
      </Card>
      {(deck.slides.length > 0 || deck.edit !== null) && (
        <EditDeck workspace={workspace} deck={deck} press={press} />
      )}
      {presenting && <Present slides={slides} onClose={() => setPresenting(false)} />}
    </div>
  );
}

/** The run's progress with a Stop button, and its charge at the end. */
function Progress({ workspace, deck, press }: DeckViewProps) {
  const { run } = deck;
  const busy = isInProgress(run);
  return (
    <div className="progress">
      {busy && (
        <div className="writing">
          <span className="spinner" aria-hidden="true" />
          <span role="status">
            {deck.slides.length} of {deck.slideCount} slides
          </span>
          <StopRun workspace={workspace} deck={deck} run={run} />
        </div>
      )}
      <RunWords workspace={workspace} deck={deck} press={press} run={run} feature="ppt-generate" />
    </div>
  );
}

function StopRun({ workspace, deck, run }: Omit<DeckViewProps, "press"> & { run: RunState }) {
  const stop = useMutation({
    mutationFn: () => workspace.runner.stop(targetOf(workspace.decks, deck.id, run.key)),
  });
  return (
    <>
      <Button busy={stop.isPending} onClick={() => stop.mutate()}>
        <span className="stop-mark" aria-hidden="true" /> Stop
      </Button>
      <Failure error={stop.error} title="Couldn't stop it" />
    </>
  );
}

function RunWords({
  workspace,
  deck,
  press,
  run,
  feature,
}: DeckViewProps & { run: RunState; feature: "ppt-generate" | "ppt-edit" }) {
  const connection = useConnection(workspace.runner, run.key);
  return (
    <div className="report" aria-live="polite">
      <RunReport
        run={run}
        feature={feature}
        connection={connection}
        onAskSame={() => press(`same ${run.key}`, () => retryRun(workspace, deck, run))}
      />
      {chargeLine(run) !== "" && (
        <p className="soft" data-testid={`charge-${feature}`}>
          {chargeLine(run)}
        </p>
      )}
    </div>
  );
}

function Outline({ slides }: { slides: readonly Slide[] }) {
  return (
    <ol className="outline" data-testid="outline">
      {slides.map((slide, index) => (
        // A slide has no identity other than its position.
        <li key={index}>
          <h3>{slide.title}</h3>
          <ul>
            {slide.bullets.map((bullet, place) => (
              <li key={place}>{bullet}</li>
            ))}
          </ul>
          {slide.notes !== undefined && slide.notes !== "" && (
            <details>
              <summary>
                Notes <span className="visually-hidden">of slide {index + 1}</span>
              </summary>
              <p className="soft">{slide.notes}</p>
            </details>
          )}
        </li>
      ))}
    </ol>
  );
}

function Files({ deck }: { deck: StoredDeck }) {
  const pptx = useMutation({
    mutationFn: async () => {
      const file = asDeck(deck);
      saveFile(fileName(file, "pptx"), await deckPptx(file));
    },
  });
  const markdown = () => {
    const file = asDeck(deck);
    saveFile(
      fileName(file, "md"),
      new Blob([deckMarkdown(file)], { type: "text/markdown;charset=utf-8" }),
    );
  };
  return (
    <>
      <div className="actions">
        <Button busy={pptx.isPending} onClick={() => pptx.mutate()}>
          Download PowerPoint
        </Button>
        <Button onClick={markdown}>Download Markdown</Button>
      </div>
      {pptx.isError && (
        <Notice tone="bad">Couldn't create the file. Check your connection and try again.</Notice>
      )}
    </>
  );
}

function EditDeck({ workspace, deck, press }: DeckViewProps) {
  const costs = useCosts();
  const [instruction, setInstruction] = useState("");
  const cost = costs.data?.features.find((entry) => entry.feature === "ppt-edit")?.credits;
  const editing = isInProgress(deck.edit?.run);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (instruction.trim() === "" || isBusy(deck)) return;
    press(`edit ${instruction}`, () => {
      edit(workspace, deck, instruction.trim());
      setInstruction("");
    });
  };
  return (
    <Card title="Edit with instructions">
      <form onSubmit={submit}>
        <label className="field">
          <span>What should change?</span>
          <textarea
            rows={2}
            maxLength={LIMITS.instructionLength}
            value={instruction}
            placeholder="Make it shorter, and end with a question"
            onChange={(event) => setInstruction(event.target.value)}
          />
        </label>
        <div className="actions">
          <Button kind="main" type="submit" busy={editing} disabled={isInProgress(deck.run)}>
            Change slides {cost !== undefined && <span className="price">{credits(cost)}</span>}
          </Button>
          {editing && deck.edit !== null && (
            <>
              <StopRun workspace={workspace} deck={deck} run={deck.edit.run} />
              <span className="soft" role="status">
                {deck.edit.slides.length} slides changed
              </span>
            </>
          )}
          {deck.before !== null && !isBusy(deck) && (
            <Button onClick={() => undoEdit(workspace.decks, deck)}>Undo the change</Button>
          )}
        </div>
      </form>
      {deck.edit !== null && (
        <RunWords
          workspace={workspace}
          deck={deck}
          press={press}
          run={deck.edit.run}
          feature="ppt-edit"
        />
      )}
    </Card>
  );
}
