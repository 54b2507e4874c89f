// The list of items stored in this browser (conversations, decks): open one, remove one, clear all.
import { useState } from "react";
import { dateTime } from "../format.ts";
import { Link } from "../router.tsx";
import { Button } from "../ui/basics.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icons.tsx";

interface KeptItem {
  readonly id: string;
  readonly to: string;
  readonly title: string;
  readonly updatedAt: number;
}

export function StoredList(props: {
  label: string;
  items: readonly KeptItem[];
  openId: string | null;
  onRemove: (id: string) => void;
  onClear: () => void;
}) {
  const { label, items } = props;
  const [asking, setAsking] = useState(false);
  if (items.length === 0) return null;
  return (
    <details className="kept card" open={window.matchMedia("(min-width: 62rem)").matches}>
      <summary>
        {label} <span className="soft">{items.length}</span>
      </summary>
      <nav aria-label={label}>
        <ul>
          {items.map((item) => (
            <li key={item.id}>
              <Link to={item.to} aria-current={item.id === props.openId ? "page" : undefined}>
                <span>{item.title}</span>
                <small>{dateTime(new Date(item.updatedAt).toISOString())}</small>
              </Link>
              <Button
                kind="quiet"
                aria-label={`Remove “${item.title}”`}
                onClick={() => props.onRemove(item.id)}
              >
                <Icon name="cross" size={16} />
              </Button>
            </li>
          ))}
        </ul>
      </nav>
      <Button kind="quiet" onClick={() => setAsking(true)}>
        Clear all
      </Button>
      {asking && (
        <Dialog
          title={`Clear all ${label.toLowerCase()}?`}
          onClose={() => setAsking(false)}
          actions={
            <>
              <Button onClick={() => setAsking(false)}>Cancel</Button>
              <Button
                kind="danger"
                onClick={() => {
                  setAsking(false);
                  props.onClear();
                }}
              >
                Clear all
              </Button>
            </>
          }
        >
          <p>They are stored only in this browser, so they can't be recovered.</p>
        </Dialog>
      )}
    </details>
  );
}
