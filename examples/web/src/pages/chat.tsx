// The chat page: the conversations stored in this browser, the open one, and asking.
import { useEffect, useRef, useState } from "react";
import {
  ask,
  regenerate,
  retryRun,
  CHAT_FEATURES,
  type Chat,
  type ChatFeature,
  isAnswering,
  targetOf,
} from "../data/chats.ts";
import { usePress } from "../data/presses.ts";
import { useCosts, useModels } from "../data/queries.ts";
import { useStored, useWorkspace, type Workspace } from "../data/workspace.ts";
import { Link, navigate, usePageTitle, usePath } from "../router.tsx";
import { Notice, Skeleton } from "../ui/basics.tsx";
import { Icon } from "../ui/icons.tsx";
import { ChatTurn } from "./chat-turn.tsx";
import { Composer } from "./composer.tsx";
import { StoredList } from "./kept-list.tsx";

export function ChatPage() {
  usePageTitle("Chat");
  const workspace = useWorkspace();
  return workspace === null ? <Skeleton lines={6} /> : <Chats workspace={workspace} />;
}

/** `/chat/ID` → `ID`. */
function openChatId(path: string): string | null {
  return path.split("/")[2] ?? null;
}

function firstFeature(): ChatFeature {
  const asked = new URLSearchParams(window.location.search).get("model");
  return CHAT_FEATURES.find((feature) => feature === asked) ?? "chat-flash";
}

function Chats({ workspace }: { workspace: Workspace }) {
  const chats = useStored(workspace.chats);
  const id = openChatId(usePath());
  const chat = chats.find((one) => one.id === id);
  return (
    <div className="page workbench">
      <header className="page-head with-actions">
        <h1>Chat</h1>
        <Link to="/chat" className="button">
          <Icon name="plus" size={18} /> New chat
        </Link>
      </header>
      <StoredList
        label="Conversations"
        items={chats.map((one) => ({
          id: one.id,
          to: `/chat/${one.id}`,
          title: one.title,
          updatedAt: one.updatedAt,
        }))}
        openId={id}
        onRemove={(one) => {
          workspace.chats.remove(one);
          if (one === id) navigate("/chat", { replace: true });
        }}
        onClear={() => {
          workspace.chats.clear();
          navigate("/chat", { replace: true });
        }}
      />
      <Conversation workspace={workspace} chat={chat} />
    </div>
  );
}

function Conversation({ workspace, chat }: { workspace: Workspace; chat: Chat | undefined }) {
  const models = useModels();
  const costs = useCosts();
  const lastAnswer = chat?.turns.findLast((turn) => turn.role === "assistant");
  const [chosen, setChosen] = useState<ChatFeature | null>(null);
  const feature = chosen ?? lastAnswer?.feature ?? firstFeature();
  const press = usePress();
  const busy = isAnswering(chat);
  const cost = (of: ChatFeature) =>
    costs.data?.features.find((entry) => entry.feature === of)?.credits;
  const offered = CHAT_FEATURES.filter(
    (one) => models.data?.models.some((entry) => entry.feature === one) ?? true,
  );
  return (
    <section className="conversation" aria-label={chat?.title ?? "New conversation"}>
      {chat === undefined ? (
        <Welcome />
      ) : (
        <Turns chat={chat}>
          {(turn) => (
            <ChatTurn
              key={turn.id}
              turn={turn}
              runner={workspace.runner}
              cost={cost(feature)}
              isLast={turn.id === chat.turns.at(-1)?.id}
              onAskSame={(answer) =>
                press(`same ${answer.id}`, () => retryRun(workspace, chat, answer))
              }
              onAskAnew={() => press(`anew ${chat.id}`, () => regenerate(workspace, chat, feature))}
            />
          )}
        </Turns>
      )}
      {offered.length === 0 ? (
        <Notice tone="soft" title="No AI model is configured yet">
          The operator of this server needs to set <code>AI_BASE_URL</code> and{" "}
          <code>AI_MODEL_FLASH</code>.
        </Notice>
      ) : (
        <Composer
          features={offered}
          feature={feature}
          onFeature={setChosen}
          cost={cost}
          isBusy={busy}
          onAsk={(text) =>
            press(`ask ${text}`, () => {
              const id = ask(workspace, { chatId: chat?.id ?? null, feature, text });
              if (chat === undefined) navigate(`/chat/${id}`, { replace: true });
            })
          }
          onStop={() => stopAnswers(workspace, chat)}
        />
      )}
    </section>
  );
}

/** Stops every answer that is still being written in the conversation. */
async function stopAnswers({ chats, runner }: Workspace, chat: Chat | undefined): Promise<void> {
  for (const turn of chat?.turns ?? [])
    if (chat !== undefined && turn.role === "assistant" && turn.run.phase !== "ended")
      await runner.stop(targetOf(chats, chat.id, turn.id));
}

function Welcome() {
  return (
    <div className="welcome">
      <span className="feature-icon">
        <Icon name="chat-pro" size={26} />
      </span>
      <h2>What would you like to know?</h2>
      <p className="soft">
        Answers arrive as they are written. Conversations stay in this browser. You only pay for
        what you receive.
      </p>
    </div>
  );
}

const NEAR_END_PX = 160;

/** The turns, kept scrolled to the newest words while the user is near the end. */
function Turns(props: { chat: Chat; children: (turn: Chat["turns"][number]) => React.ReactNode }) {
  const { turns } = props.chat;
  const wasNearEnd = useRef(true);
  useEffect(() => {
    const look = () => {
      const left = document.documentElement.scrollHeight - window.scrollY - window.innerHeight;
      wasNearEnd.current = left < NEAR_END_PX;
    };
    window.addEventListener("scroll", look, { passive: true });
    return () => window.removeEventListener("scroll", look);
  }, []);
  useEffect(() => {
    if (wasNearEnd.current && turns.length > 0)
      window.scrollTo({ top: document.documentElement.scrollHeight });
  }, [turns]);
  return (
    <ol className="turns" data-testid="turns">
      {turns.map(props.children)}
    </ol>
  );
}
