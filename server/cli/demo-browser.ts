// Owns the demo's stand-in for a browser: cookies per site, redirects followed by hand, forms sent as a person would.

const MAX_STEPS = 15;

/** A page that was answered, or an address it was sent to and that is not ours to open (the frontend). */
export interface Visited {
  readonly url: URL;
  readonly status: number;
  readonly text: string;
}

export interface Browser {
  /** Opens an address and follows where it leads, up to the first page of `stopAt`. */
  open(address: string): Promise<Visited>;
  /** Sends the form of `page` whose action ends with `actionEnd`. */
  submit(page: Visited, actionEnd: RegExp, fields: Record<string, string>): Promise<Visited>;
  /** `fetch` as the frontend's own scripts have it: with the cookies and the frontend's Origin. */
  readonly fetch: typeof fetch;
  /** A copy with the same cookies: a second tab that is about to do the same thing. */
  sameCookies(): Browser;
}

/** `stopAt` is the frontend's origin, which the demo does not run. */
export function createBrowser(stopAt: string, cookies = new Map<string, string>()): Browser {
  function cookieHeader(url: URL): string {
    return [...cookies]
      .filter(([key]) => key.startsWith(`${url.host} `))
      .map(([key, value]) => `${key.slice(url.host.length + 1)}=${value}`)
      .join("; ");
  }

  function store(url: URL, answer: Response): void {
    for (const line of answer.headers.getSetCookie()) {
      const [pair = ""] = line.split(";", 1);
      const equals = pair.indexOf("=");
      const key = `${url.host} ${pair.slice(0, equals)}`;
      const gone = /max-age=0(;|$)/i.test(line) || /expires=thu, 01 jan 1970/i.test(line);
      if (gone) cookies.delete(key);
      else cookies.set(key, pair.slice(equals + 1));
    }
  }

  async function follow(address: string, body?: URLSearchParams): Promise<Visited> {
    let url = new URL(address);
    let form = body;
    for (let step = 0; step < MAX_STEPS; step += 1) {
      if (url.origin === stopAt) return { url, status: 200, text: "" };
      const answer = await fetch(url, {
        method: form === undefined ? "GET" : "POST",
        body: form,
        redirect: "manual",
        headers: {
          cookie: cookieHeader(url),
          ...(form === undefined ? {} : { origin: url.origin }),
        },
      });
      store(url, answer);
      const text = await answer.text();
      const location = answer.headers.get("location");
      if (location === null) return { url, status: answer.status, text };
      url = new URL(location, url);
      form = undefined;
    }
    throw new Error(`${address} redirected more than ${MAX_STEPS} times.`);
  }

  return {
    open: (address) => follow(address),
    async submit(page, actionEnd, fields) {
      const actions = [...page.text.matchAll(/<form[^>]*\baction="([^"]+)"/g)].map(([, it]) => it);
      const action = actions.find((it) => it !== undefined && actionEnd.test(it));
      if (action === undefined)
        throw new Error(
          `${page.url.href} has no form for ${actionEnd.source}: it answered ${page.status}.`,
        );
      return follow(new URL(action, page.url).href, new URLSearchParams(fields));
    },
    async fetch(input, init) {
      const url = new URL(input instanceof Request ? input.url : input);
      const headers = new Headers(init?.headers);
      headers.set("cookie", cookieHeader(url));
      headers.set("origin", stopAt);
      const answer = await fetch(input, { ...init, headers });
      store(url, answer);
      return answer;
    },
    sameCookies: () => createBrowser(stopAt, new Map(cookies)),
  };
}
