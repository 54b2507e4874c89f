// The slides page: generating a deck, the decks stored in this browser, the open one.
import { type FormEvent, useState } from "react";
import { deckTitle, generate, LIMITS } from "../data/decks.ts";
import { usePress } from "../data/presses.ts";
import { useCosts, useModels } from "../data/queries.ts";
import { useStored, useWorkspace, type Workspace } from "../data/workspace.ts";
import { credits } from "../format.ts";
import { Link, navigate, usePageTitle, usePath } from "../router.tsx";
import { Button, Card, Notice, Skeleton } from "../ui/basics.tsx";
import { Icon } from "../ui/icons.tsx";
import { DeckView } from "./deck-view.tsx";
import { StoredList } from "./kept-list.tsx";

const USUAL_SLIDES = 8;

export function SlidesPage() {
  usePageTitle("Slides");
  const workspace = useWorkspace();
  return workspace === null ? <Skeleton lines={6} /> : <Decks workspace={workspace} />;
}

function Decks({ workspace }: { workspace: Workspace }) {
  const decks = useStored(workspace.decks);
  const id = usePath().split("/")[2] ?? null;
  const deck = decks.find((one) => one.id === id);
  const press = usePress();
  return (
    <div className="page workbench">
      <header className="page-head with-actions">
        <h1>Slides</h1>
        <Link to="/slides" className="button">
          <Icon name="plus" size={18} /> New deck
        </Link>
      </header>
      <StoredList
        label="Decks"
        items={decks.map((one) => ({
          id: one.id,
          to: `/slides/${one.id}`,
          title: deckTitle(one),
          updatedAt: one.updatedAt,
        }))}
        openId={id}
        onRemove={(one) => {
          workspace.decks.remove(one);
          if (one === id) navigate("/slides", { replace: true });
        }}
        onClear={() => {
          workspace.decks.clear();
          navigate("/slides", { replace: true });
        }}
      />
      {deck === undefined ? (
        <NewDeck
          onGenerate={(asked) =>
            press(`make ${asked.topic}`, () =>
              navigate(`/slides/${generate(workspace, asked)}`, { replace: true }),
            )
          }
        />
      ) : (
        <DeckView key={deck.id} workspace={workspace} deck={deck} press={press} />
      )}
    </div>
  );
}

function NewDeck(props: { onGenerate: (asked: { topic: string; slideCount: number }) => void }) {
  const models = useModels();
  const costs = useCosts();
  const [topic, setTopic] = useState("");
  const [slideCount, setSlideCount] = useState(String(USUAL_SLIDES));
  const cost = costs.data?.features.find((entry) => entry.feature === "ppt-generate")?.credits;
  const isOffered = models.data?.models.some((entry) => entry.feature === "ppt-generate") ?? true;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (topic.trim() !== "")
      props.onGenerate({ topic: topic.trim(), slideCount: Number(slideCount) });
  };
  return (
    <Card title="New deck">
      {!isOffered && (
        <Notice tone="soft" title="No AI model is configured yet">
          The operator of this server needs to set <code>AI_BASE_URL</code> and{" "}
          <code>AI_MODEL_PRO</code>.
        </Notice>
      )}
      <form onSubmit={submit}>
        <label className="field">
          <span>What is it about?</span>
          <textarea
            rows={4}
            required
            maxLength={LIMITS.instructionLength}
            value={topic}
            placeholder="How a small bakery can halve its food waste, for its owners"
            onChange={(event) => setTopic(event.target.value)}
          />
        </label>
        <label className="field short">
          <span>Slides</span>
          <input
            type="number"
            required
            min={1}
            max={LIMITS.slides}
            value={slideCount}
            onChange={(event) => setSlideCount(event.target.value)}
          />
        </label>
        <div className="actions">
          <Button kind="main" type="submit" disabled={!isOffered}>
            Make slides {cost !== undefined && <span className="price">{credits(cost)}</span>}
          </Button>
          <span className="soft">
            If it fails or you stop it, you only pay for the slides you received.
          </span>
        </div>
      </form>
    </Card>
  );
}
