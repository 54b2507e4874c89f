// The question box: model and price, ask, stop.
import { FEATURE_TABLE } from "@skywork/shared";
import {
  type FormEvent,
  type KeyboardEvent,
  type MouseEvent,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import { type ChatFeature, LIMITS } from "../data/chats.ts";
import { SAME_PRESS_MS } from "../data/presses.ts";
import { credits } from "../format.ts";
import { Button, Failure } from "../ui/basics.tsx";

interface ComposerProps {
  readonly features: readonly ChatFeature[];
  readonly feature: ChatFeature;
  readonly onFeature: (feature: ChatFeature) => void;
  readonly cost: (feature: ChatFeature) => number | undefined;
  readonly isBusy: boolean;
  readonly onAsk: (text: string) => void;
  readonly onStop: () => Promise<void>;
}

export function Composer(props: ComposerProps) {
  const { isBusy, feature } = props;
  const [text, setText] = useState("");
  const [stopError, setStopError] = useState<unknown>(null);
  const box = useRef<HTMLTextAreaElement>(null);
  const isEmpty = text.trim() === "";
  const ending = useEnding(isBusy);
  const submit = (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    if (isEmpty || isBusy) return;
    // A click on Stop just as the answer ends hits Ask, which has taken its place. Enter in the box, or a click after
    // typing there, is intentional.
    if (event.type === "submit" && ending.isJustNow()) return;
    props.onAsk(text);
    setText("");
    box.current?.focus();
  };
  const stop = (event: MouseEvent) => {
    // The second click of a double click on Ask hits Stop, which has taken its place, but is not a request to stop.
    if (event.detail > 1) return;
    setStopError(null);
    props.onStop().catch(setStopError);
  };
  const cost = props.cost(feature);
  return (
    <form className="composer" onSubmit={submit}>
      <label className="visually-hidden" htmlFor="question">
        Your question
      </label>
      <textarea
        id="question"
        ref={box}
        rows={Math.min(Math.max(text.split("\n").length, 2), 10)}
        value={text}
        maxLength={LIMITS.conversationLength}
        placeholder="Ask anything. Press Enter to send, Shift + Enter for a new line."
        onChange={(event) => {
          setText(event.target.value);
          ending.forget();
        }}
        onKeyDown={(event) => {
          // While an input method is composing, Enter picks a character.
          if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
          submit(event);
        }}
      />
      <div className="composer-foot">
        <ModelSwitch {...props} />
        {isBusy ? (
          <Button kind="main" onClick={stop}>
            <span className="stop-mark" aria-hidden="true" /> Stop
          </Button>
        ) : (
          <Button kind="main" type="submit" aria-disabled={isEmpty || undefined}>
            Ask {cost !== undefined && <span className="price">{credits(cost)}</span>}
          </Button>
        )}
      </div>
      <Failure error={stopError} title="Couldn't stop it" />
    </form>
  );
}

/** Whether the last answer ended less than SAME_PRESS_MS ago. `forget` marks the next press as intentional. */
function useEnding(isBusy: boolean): { isJustNow: () => boolean; forget: () => void } {
  const endedAt = useRef(Number.NEGATIVE_INFINITY);
  useLayoutEffect(() => {
    if (!isBusy) return;
    return () => {
      endedAt.current = performance.now();
    };
  }, [isBusy]);
  return {
    isJustNow: () => performance.now() - endedAt.current < SAME_PRESS_MS,
    forget() {
      endedAt.current = Number.NEGATIVE_INFINITY;
    },
  };
}

function ModelSwitch({ features, feature, onFeature, cost }: ComposerProps) {
  return (
    <fieldset className="switch">
      <legend className="visually-hidden">Model</legend>
      {features.map((one) => {
        const price = cost(one);
        return (
          <label key={one} title={FEATURE_TABLE[one].description}>
            <input
              type="radio"
              name="model"
              checked={feature === one}
              onChange={() => onFeature(one)}
            />
            <span>
              {FEATURE_TABLE[one].label}
              {price !== undefined && <small> {credits(price)}</small>}
            </span>
          </label>
        );
      })}
    </fieldset>
  );
}
