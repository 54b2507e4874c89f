// The account chooser page of the Google stand-in.
import type { ServerResponse } from "node:http";
import { html, pageDocument, sendPage } from "../html.ts";
import type { GoogleUser } from "./users.ts";

const BANNER = "Sandbox sign-in: a stand-in for Google on this machine. No password, any address.";
const SHOWN_USERS = 8;

/** Sends the chooser for one sign-in attempt. Its forms work without JavaScript. */
export function showChooser(
  res: ServerResponse,
  given: {
    uid: string;
    users: GoogleUser[];
    clientId: string;
    formTargets: string[];
    hint: string;
    problem?: string;
  },
): void {
  const action = `/interaction/${given.uid}`;
  sendPage(res, given.problem === undefined ? 200 : 422, {
    title: "Choose an account",
    banner: BANNER,
    formTargets: given.formTargets,
    main: html`<section class="card">
<h1>Choose an account</h1>
<p class="soft">to continue to <b>${given.clientId}</b></p>
${given.problem !== undefined && html`<p class="note bad" role="alert">${given.problem}</p>`}
${given.users.slice(0, SHOWN_USERS).map(
  (
    user,
  ) => html`<form method="post" action="${action}"><input type="hidden" name="email" value="${user.email}">
<button class="person"><span class="face" aria-hidden="true">${user.name.charAt(0)}</span><span><b>${user.name}</b><span class="soft">${user.email}${!user.email_verified && " · address not verified"}</span></span></button></form>`,
)}
<h2>Use another account</h2>
<form method="post" action="${action}">
<label class="field"><span>E-mail address</span><input type="email" name="email" required maxlength="200" value="${given.hint}" placeholder="you@example.com" autocomplete="off"></label>
<button class="main">Continue</button></form>
<form method="post" action="${action}" class="center"><input type="hidden" name="deny" value="1"><p><button>Deny</button></p></form>
</section>`,
  });
}

/** The page for an error that cannot be returned to the app, such as an unregistered redirect URI. */
export function errorPage(title: string, text: string): string {
  return pageDocument({
    title,
    banner: BANNER,
    main: html`<section class="card center"><h1>${title}</h1><p class="soft">${text}</p></section>`,
  });
}
