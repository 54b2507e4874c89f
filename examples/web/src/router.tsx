// The addresses of the app: which path is shown, and links that change it without a reload.
import { type AnchorHTMLAttributes, useEffect, useSyncExternalStore } from "react";

const listeners = new Set<() => void>();

function changed(): void {
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("popstate", listener);
  };
}

/** The path shown now. */
export function usePath(): string {
  return useSyncExternalStore(subscribe, () => window.location.pathname);
}

/** Goes to `to`, a path on this site. `replace` leaves no way back. */
export function navigate(to: string, options: { replace?: boolean } = {}): void {
  if (options.replace) window.history.replaceState(null, "", to);
  else window.history.pushState(null, "", to);
  window.scrollTo(0, 0);
  changed();
}

const LEAVING_MS = 10_000;

/**
 * Leaves for a page elsewhere. Pending until the browser is gone; a page that Back brings out of the browser's memory, or
 * whose departure was cancelled, is ready for another press.
 */
export function leaveFor(url: string): Promise<void> {
  window.location.assign(url);
  return new Promise((resolve) => {
    window.addEventListener("pageshow", () => resolve(), { once: true });
    window.setTimeout(resolve, LEAVING_MS);
  });
}

/** A path on this site, whatever was given: `//evil.example`, `https:…` and the like become `/`. */
export function safePath(given: string | null): string {
  if (given === null || !given.startsWith("/")) return "/";
  const target = new URL(given, window.location.origin);
  if (target.origin !== window.location.origin) return "/";
  return target.pathname + target.search + target.hash;
}

/** A link inside the app. A click with a modifier key opens a new tab, as everywhere. */
export function Link({ to, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { to: string }) {
  return (
    <a
      {...rest}
      href={to}
      onClick={(event) => {
        rest.onClick?.(event);
        if (event.defaultPrevented || event.button !== 0) return;
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        navigate(to);
      }}
    />
  );
}

let isFirstPage = true;

/**
 * Names the page in the tab and moves the focus to its heading, so that a screen reader says it and the keyboard goes on
 * from there. Not on the first page: there the browser's own place is right.
 */
export function usePageTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Skywork`;
  }, [title]);
  useEffect(() => {
    if (!isFirstPage) focusHeading();
    isFirstPage = false;
  }, []);
}

/** Moves the focus to the heading when what had it is removed: it would be nowhere, and Tab would begin at the top. */
export function useFocusAfterRemoval(): void {
  useEffect(() => {
    let last = document.activeElement;
    const remember = () => {
      last = document.activeElement;
    };
    // A press beside every control takes the focus away on purpose; the browser moves it after this event.
    const rememberSoon = () => window.setTimeout(remember);
    const observer = new MutationObserver(() => {
      // A dialog gives the focus back itself.
      if (last === null || last.isConnected || last.closest("dialog") !== null) return;
      last = null;
      if (document.activeElement === document.body) focusHeading();
    });
    document.addEventListener("focusin", remember);
    document.addEventListener("mousedown", rememberSoon);
    observer.observe(document.body, { childList: true, subtree: true });
    return () => {
      document.removeEventListener("focusin", remember);
      document.removeEventListener("mousedown", rememberSoon);
      observer.disconnect();
    };
  }, []);
}

/** Moves the focus to the page's heading. */
export function focusHeading(): void {
  const heading = document.querySelector<HTMLElement>("main h1") ?? document.querySelector("main");
  if (heading === null) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}
