// Owns the addresses of the app: which path is shown, and links that change it without a reload.
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

/** Moves the focus to the page's heading. */
export function focusHeading(): void {
  const heading = document.querySelector<HTMLElement>("main h1") ?? document.querySelector("main");
  if (heading === null) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}
