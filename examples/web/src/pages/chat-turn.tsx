// One turn of a conversation: a question, or an answer with its cost and its actions.
import { FEATURE_TABLE } from "@skywork/shared";
import { useState } from "react";
import type { Answer, Turn } from "../data/chats.ts";
import { isInProgress, type Runner } from "../data/runs.ts";
import { useConnection } from "../data/workspace.ts";
import { credits } from "../format.ts";
import { Button } from "../ui/basics.tsx";
import { Icon } from "../ui/icons.tsx";
import { Markdown } from "../ui/markdown.tsx";
import { chargeLine, RunReport } from "../ui/run-report.tsx";

interface ChatTurnProps {
  readonly turn: Turn;
  readonly runner: Runner;
  readonly cost: number | undefined;
  readonly isLast: boolean;
  readonly onAskSame: (answer: Answer) => void;
  readonly onAskAnew: () => void;
}

export function ChatTurn(props: ChatTurnProps) {
  const { turn } = props;
  if (turn.role === "assistant") return <AnswerTurn {...props} answer={turn} />;
  return (
    <li className="turn question">
      <h2 className="visually-hidden">You asked</h2>
      {turn.content}
    </li>
  );
}

function AnswerTurn({
  answer,
  runner,
  cost,
  isLast,
  onAskSame,
  onAskAnew,
}: ChatTurnProps & { answer: Answer }) {
  const { run, content, feature } = answer;
  const connection = useConnection(runner, run.key);
  const busy = isInProgress(run);
  const charge = chargeLine(run);
  return (
    <li className="turn answer" data-testid="answer" aria-busy={busy}>
      <h2 className="visually-hidden">{FEATURE_TABLE[feature].label} answered</h2>
      {content !== "" && <Markdown text={content} />}
      {busy && (
        <p className="writing">
          <span className="spinner" aria-hidden="true" />{" "}
          {content === "" ? "Thinking…" : "Writing…"}
        </p>
      )}
      <div className="report" aria-live="polite">
        <RunReport
          run={run}
          feature={feature}
          connection={connection}
          onAskSame={() => onAskSame(answer)}
        />
      </div>
      <div className="turn-foot">
        <span className="soft" role="status" data-testid="charge">
          {charge !== "" && `${FEATURE_TABLE[feature].label} · ${charge}`}
        </span>
        {!busy && content !== "" && <CopyButton text={content} />}
        {!busy && isLast && run.phase !== "unsure" && (
          <Button kind="quiet" onClick={onAskAnew}>
            <Icon name="again" size={17} /> Try again
            {cost !== undefined && <span className="price">{credits(cost)}</span>}
          </Button>
        )}
      </div>
    </li>
  );
}

function CopyButton({ text }: { text: string }) {
  const [state, setState] = useState<"idle" | "copied" | "refused">("idle");
  return (
    <Button kind="quiet" onClick={() => void copy(text).then(setState)}>
      <Icon name={state === "copied" ? "check" : "copy"} size={17} />
      <span aria-live="polite">
        {state === "idle" ? "Copy" : state === "copied" ? "Copied" : "Couldn't copy"}
      </span>
    </Button>
  );
}

/** Copies to the clipboard, which does not exist on plain http from another machine and which browsers may refuse. */
async function copy(text: string): Promise<"copied" | "refused"> {
  try {
    await navigator.clipboard.writeText(text);
    return "copied";
  } catch {
    return "refused";
  }
}
