// The dialog: the browser's native <dialog>, which keeps the focus inside and closes on Escape.
import { type ReactNode, useEffect, useId, useRef } from "react";
import { focusHeading } from "../router.tsx";

/** Open for as long as it is mounted. Escape and a press on the backdrop call `onClose`. */
export function Dialog(props: {
  title: string;
  onClose: () => void;
  children: ReactNode;
  actions: ReactNode;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useReturnOfFocus();
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
      onMouseDown={(event) => {
        if (event.target === ref.current) props.onClose();
      }}
    >
      <div className="dialog-body">
        <h2 id={id}>{props.title}</h2>
        {props.children}
        <div className="actions end">{props.actions}</div>
      </div>
    </dialog>
  );
}

/**
 * On unmount, returns the focus to the element that had it on mount. The browser does so only for a dialog that is
 * still in the page, and React has removed this one. If that element is gone too ("Cancel plan" has become "Keep my
 * plan"), the page's heading gets the focus.
 */
export function useReturnOfFocus(): void {
  useEffect(() => {
    const opener = document.activeElement;
    return () => {
      window.setTimeout(() => {
        if (document.querySelector("dialog[open]") !== null) return;
        if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
        else focusHeading();
      });
    };
  }, []);
}
