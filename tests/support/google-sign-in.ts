// Signs in at the sandbox Google without a browser, following its pages with fetch and cookies.

/** Returns the cookies a response sets; the value is empty for one it clears. */
export function cookiesIn(answer: Response) {
  return answer.headers.getSetCookie().map((line) => {
    const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(line) ?? [];
    const attribute = (of: string) => new RegExp(`;\\s*${of}=([^;]*)`, "i").exec(line)?.[1];
    // Without `expires` this is NaN, which is never in the past.
    const isOver =
      attribute("max-age") === "0" || Date.parse(attribute("expires") ?? "") < Date.now();
    return { name, value: isOver ? "" : value, path: attribute("path") ?? "/" };
  });
}

export type CookieJar = ReturnType<typeof createCookieJar>;

/** Creates a cookie jar: cookies by origin and path prefix, which is enough for the sandbox. */
export function createCookieJar() {
  const cookies = new Map<string, { origin: string; path: string; name: string; value: string }>();
  return {
    header: (url: URL) =>
      [...cookies.values()]
        .filter((it) => it.origin === url.origin && url.pathname.startsWith(it.path))
        .map((it) => `${it.name}=${it.value}`)
        .join("; "),
    store: (url: URL, answer: Response) => {
      for (const cookie of cookiesIn(answer)) {
        const key = `${url.origin}|${cookie.path}|${cookie.name}`;
        if (cookie.value === "") cookies.delete(key);
        else cookies.set(key, { origin: url.origin, ...cookie });
      }
    },
  };
}

const MAX_STEPS = 12;

/**
 * Follows an authorization URL at the sandbox to its end, choosing `email` (or denying). Sharing a `jar` makes several
 * sign-ins come from one browser. Resolves with the final callback URL (code or error in its query) without requesting
 * it.
 */
export async function driveSignIn(
  authUrl: string,
  choice: { email?: string; deny?: boolean; jar?: CookieJar },
): Promise<string> {
  const issuer = new URL(authUrl).origin;
  const jar = choice.jar ?? createCookieJar();
  let url = new URL(authUrl);
  let form: URLSearchParams | undefined;
  for (let step = 0; step < MAX_STEPS; step += 1) {
    const answer = await fetch(url, {
      method: form === undefined ? "GET" : "POST",
      body: form,
      redirect: "manual",
      headers: { cookie: jar.header(url), ...(form === undefined ? {} : { origin: url.origin }) },
    });
    jar.store(url, answer);
    form = undefined;
    const location = answer.headers.get("location");
    const text = await answer.text();
    if (location !== null) {
      const next = new URL(location, url);
      if (next.origin !== issuer) return next.href;
      url = next;
      continue;
    }
    const [, action] = /<form method="post" action="(\/interaction\/[\w-]+)"/.exec(text) ?? [];
    if (!answer.ok || action === undefined) {
      throw new Error(
        `The sandbox Google answered ${answer.status} at ${url.pathname}: ${text.slice(0, 300)}`,
      );
    }
    url = new URL(action, url);
    form = new URLSearchParams(
      choice.deny === true ? { deny: "1" } : { email: choice.email ?? "" },
    );
  }
  throw new Error("The sandbox Google redirected too often.");
}
