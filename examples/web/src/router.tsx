// The router: the current path, and links that change it without a reload.
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

/** The current path. */
export function usePath(): string {
  return useSyncExternalStore(subscribe, () => window.location.pathname);
}

/** Navigates to `to`, a path on this site. `replace` replaces the current history entry. */
export function navigate(to: string, options: { replace?: boolean } = {}): void {
  if (options.replace) window.history.replaceState(null, "", to);
  else window.history.pushState(null, "", to);
  window.scrollTo(0, 0);
  changed();
}

const LEAVING_MS = 10_000;

/**
 * Leaves for a page on another site. The promise stays pending while the browser leaves. It resolves when Back restores
 * the page from the browser's cache, or after 10 s in case leaving was cancelled, so that the button works again.
 */
export function leaveFor(url: string): Promise<void> {
  window.location.assign(url);
  return new Promise((resolve) => {
    window.addEventListener("pageshow", () => resolve(), { once: true });
    window.setTimeout(resolve, LEAVING_MS);
  });
}

/** Always returns a path on this site: `//evil.example`, `https:…` and the like become `/`. */
export function safePath(given: string | null): string {
  if (given === null || !given.startsWith("/")) return "/";
  const target = new URL(given, window.location.origin);
  if (target.origin !== window.location.origin) return "/";
  return target.pathname + target.search + target.hash;
}

/** A link within the app. A click with a modifier key opens a new tab as usual. */
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
 * Sets the tab's title and moves the focus to the page's heading, so that a screen reader announces it and the keyboard
 * continues from there. Not on the first page, where the browser's own focus is right.
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

/** Moves the focus to the heading when the focused element is removed; otherwise Tab would start at the top again. */
export function useFocusAfterRemoval(): void {
  useEffect(() => {
    let last = document.activeElement;
    const remember = () => {
      last = document.activeElement;
    };
    // A click outside every control removes the focus on purpose, but the browser moves it only after this event.
    const rememberSoon = () => window.setTimeout(remember);
    const observer = new MutationObserver(() => {
      // A dialog restores the focus itself.
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
