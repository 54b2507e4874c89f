// The basic components of every page: cards, buttons, notices, badges, and the loading, empty and error states.
import { type ButtonHTMLAttributes, type ReactNode, useId } from "react";
import { errorText } from "../words.ts";
import { Icon, type IconName } from "./icons.tsx";

export type Tone = "good" | "warn" | "bad" | "soft";

/** A titled section. The title is also its name for screen readers. */
export function Card(props: {
  title: string;
  aside?: ReactNode;
  className?: string;
  children: ReactNode;
}) {
  const id = useId();
  return (
    <section className={`card ${props.className ?? ""}`} aria-labelledby={id}>
      <header className="card-head">
        <h2 id={id}>{props.title}</h2>
        {props.aside}
      </header>
      {props.children}
    </section>
  );
}

/** A button that shows when it is busy, and ignores presses meanwhile. */
export function Button({
  busy = false,
  kind = "plain",
  children,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & {
  busy?: boolean;
  kind?: "plain" | "main" | "danger" | "quiet";
}) {
  return (
    <button
      type="button"
      {...rest}
      className={`button ${kind} ${rest.className ?? ""}`}
      aria-disabled={busy || rest["aria-disabled"]}
      aria-busy={busy || undefined}
      onClick={busy ? (event) => event.preventDefault() : rest.onClick}
    >
      {busy && <span className="spinner" aria-hidden="true" />}
      {children}
    </button>
  );
}

export function Badge({ tone, children }: { tone: Tone; children: ReactNode }) {
  return <span className={`badge ${tone}`}>{children}</span>;
}

const NOTICE_ICONS: Record<Tone, IconName> = {
  good: "check",
  warn: "warning",
  bad: "warning",
  soft: "clock",
};

/** A message in the page. Screen readers announce it when it appears, and `bad` ones immediately. */
export function Notice(props: {
  tone: Tone;
  title?: string;
  children: ReactNode;
  actions?: ReactNode;
}) {
  return (
    <div className={`notice ${props.tone}`} role={props.tone === "bad" ? "alert" : "status"}>
      <Icon name={NOTICE_ICONS[props.tone]} />
      <div>
        {props.title !== undefined && <strong>{props.title}</strong>}
        <div>{props.children}</div>
        {props.actions !== undefined && <div className="actions">{props.actions}</div>}
      </div>
    </div>
  );
}

/** The error message of a failed action; renders nothing without an error. */
export function Failure({ error, title }: { error: unknown; title?: string }) {
  if (error === null || error === undefined) return null;
  return (
    <Notice tone="bad" title={title}>
      {errorText(error)}
    </Notice>
  );
}

export function Empty({ children }: { children: ReactNode }) {
  return <p className="empty">{children}</p>;
}

/** Grey placeholder lines for text that is loading. */
export function Skeleton({ lines = 3 }: { lines?: number }) {
  return (
    <div className="skeleton" role="status">
      <span className="visually-hidden">Loading…</span>
      {Array.from({ length: lines }, (_, line) => (
        <span key={line} aria-hidden="true" />
      ))}
    </div>
  );
}

/** The part of a query result that decides what to show. */
interface Loadable<Data> {
  readonly data: Data | undefined;
  readonly error: unknown;
  readonly isFetching: boolean;
  readonly refetch: () => unknown;
}

/** Shows a query: its skeleton, its error with a retry button, or its data. */
export function Loaded<Data>(props: {
  query: Loadable<Data>;
  lines?: number;
  children: (data: Data) => ReactNode;
}) {
  const { query } = props;
  if (query.data !== undefined) return <>{props.children(query.data)}</>;
  if (query.error === null || query.isFetching) return <Skeleton lines={props.lines} />;
  return (
    <Notice tone="bad" actions={<Button onClick={() => void query.refetch()}>Try again</Button>}>
      {errorText(query.error)}
    </Notice>
  );
}

/** The "Newer" and "Older" buttons of a paged list. */
export function Pager(props: {
  label: string;
  newer: (() => void) | null;
  older: (() => void) | null;
  busy: boolean;
  children?: ReactNode;
}) {
  if (props.newer === null && props.older === null) return null;
  return (
    <nav className="pager" aria-label={props.label}>
      <Button
        aria-disabled={props.newer === null || undefined}
        busy={props.busy}
        onClick={props.newer ?? undefined}
      >
        Newer
      </Button>
      <span className="soft">{props.children}</span>
      <Button
        aria-disabled={props.older === null || undefined}
        busy={props.busy}
        onClick={props.older ?? undefined}
      >
        Older
      </Button>
    </nav>
  );
}
