// A very small browser: it keeps cookies, follows redirects and submits the forms of the pages it opens.

/** The page that the browser is on. */
export interface Page {
  readonly url: URL;
  readonly status: number;
  readonly html: string;
}

/** One person's browser. */
export interface Browser {
  open(url: string): Promise<Page>;
  /** Submits the form of `page` whose action matches, with `fields`. */
  submit(page: Page, action: RegExp, fields: Record<string, string>): Promise<Page>;
  /** The value of a cookie that `origin` has set. */
  cookie(origin: string, name: string): string | undefined;
}

const MAX_REDIRECTS = 12;

/** Creates a browser. It stops at a redirect to `frontendUrl`, which the demo does not need to serve. */
export function createBrowser(frontendUrl: string): Browser {
  const jar = new Map<string, Map<string, string>>();

  function keep(url: URL, answer: Response): void {
    const cookies = jar.get(url.origin) ?? new Map<string, string>();
    jar.set(url.origin, cookies);
    for (const line of answer.headers.getSetCookie()) {
      const [pair = ""] = line.split(";");
      const name = pair.slice(0, pair.indexOf("="));
      const expires = /;\s*expires=([^;]+)/i.exec(line)?.[1];
      const isCleared =
        /;\s*max-age=0(;|$)/i.test(line) ||
        (expires !== undefined && Date.parse(expires) < Date.now());
      if (isCleared) cookies.delete(name);
      else cookies.set(name, pair.slice(name.length + 1));
    }
  }

  async function go(from: URL, first?: URLSearchParams): Promise<Page> {
    let url = from;
    let form = first;
    for (let hop = 0; hop < MAX_REDIRECTS; hop += 1) {
      if (url.origin === frontendUrl) return { url, status: 302, html: "" };
      const cookies = [...(jar.get(url.origin) ?? [])].map((pair) => pair.join("="));
      const answer = await fetch(url, {
        method: form === undefined ? "GET" : "POST",
        headers: {
          "user-agent": "Skywork demo",
          cookie: cookies.join("; "),
          ...(form === undefined ? {} : { origin: url.origin }),
        },
        body: form,
        redirect: "manual",
      });
      keep(url, answer);
      const html = await answer.text();
      const location = answer.headers.get("location");
      if (location === null) return { url, status: answer.status, html };
      url = new URL(location, url);
      form = undefined;
    }
    throw new Error(`${from.href} redirects without an end.`);
  }

  return {
    open: (url) => go(new URL(url)),
    async submit(page, action, fields) {
      const forms = [...page.html.matchAll(/<form method="post" action="([^"]+)"/g)];
      const path = forms.map((form) => form[1] ?? "").find((found) => action.test(found));
      if (path === undefined)
        throw new Error(`${page.url.href} (${page.status}) has no form for ${action.source}.`);
      return go(new URL(path, page.url), new URLSearchParams(fields));
    },
    cookie: (origin, name) => jar.get(origin)?.get(name),
  };
}
