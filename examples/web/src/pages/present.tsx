// The presentation: one slide at a time on top of everything else, controlled by keyboard or buttons.
import type { Slide } from "@skywork/shared";
import { useEffect, useRef, useState } from "react";
import { Button } from "../ui/basics.tsx";
import { useReturnOfFocus } from "../ui/dialog.tsx";
import { Icon } from "../ui/icons.tsx";

const STEPS: Record<string, number> = {
  ArrowRight: 1,
  ArrowDown: 1,
  PageDown: 1,
  " ": 1,
  ArrowLeft: -1,
  ArrowUp: -1,
  PageUp: -1,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

export function Present({ slides, onClose }: { slides: readonly Slide[]; onClose: () => void }) {
  const [index, setIndex] = useState(0);
  const stage = useRef<HTMLDialogElement>(null);
  const slide = slides[index];
  const last = slides.length - 1;
  const step = (by: number) => setIndex((now) => Math.min(Math.max(now + by, 0), last));
  useReturnOfFocus();
  useFullScreen(stage, onClose);
  return (
    <dialog
      ref={stage}
      className="stage"
      aria-label="Presentation"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onKeyDown={(event) => {
        const by = STEPS[event.key];
        if (by === undefined || (event.key === " " && event.target instanceof HTMLButtonElement))
          return;
        event.preventDefault();
        step(by);
      }}
    >
      <div className="stage-slide" aria-live="polite" data-testid="stage">
        <h2>{slide?.title}</h2>
        <ul>
          {slide?.bullets.map((bullet, place) => (
            <li key={place}>{bullet}</li>
          ))}
        </ul>
      </div>
      <div className="stage-bar">
        <Button aria-disabled={index === 0 || undefined} onClick={() => step(-1)}>
          Back
        </Button>
        <span aria-live="polite">
          <span className="visually-hidden">Slide </span>
          {index + 1} / {slides.length}
        </span>
        <Button aria-disabled={index === last || undefined} onClick={() => step(1)}>
          Next
        </Button>
        <Button onClick={onClose}>
          <Icon name="cross" size={18} /> Close
        </Button>
      </div>
    </dialog>
  );
}

/** Opens the dialog, in full screen where the browser allows it. Leaving full screen closes the presentation. */
function useFullScreen(stage: React.RefObject<HTMLDialogElement | null>, onClose: () => void) {
  const close = useRef(onClose);
  useEffect(() => {
    close.current = onClose;
  }, [onClose]);
  useEffect(() => {
    const dialog = stage.current;
    dialog?.showModal();
    // Phones without full screen support refuse this, but the dialog covers the page anyway.
    void dialog?.requestFullscreen?.().catch(() => undefined);
    const left = () => {
      if (document.fullscreenElement === null) close.current();
    };
    document.addEventListener("fullscreenchange", left);
    return () => {
      document.removeEventListener("fullscreenchange", left);
      if (document.fullscreenElement !== null) void document.exitFullscreen();
      dialog?.close();
    };
  }, [stage]);
}
