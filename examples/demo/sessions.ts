// The demo's acts about sessions: tabs that refresh simultaneously, a stolen token, signing out.
import { createClient } from "../../shared/src/client.ts";
import type { Transcript } from "./transcript.ts";
import type { DemoWorld, Person } from "./world.ts";

/** Ada stays signed in on her laptop throughout. */
export async function refreshing(
  world: DemoWorld,
  { act, step, refused }: Transcript,
  ada: Person,
): Promise<void> {
  act("She stays signed in; a thief does not");
  const refreshToken = ada.tokens.refresh;
  const tabs = [1, 2].map(() =>
    createClient({ url: `${world.url}/api/trpc`, cookies: false, refreshToken }),
  );
  const answers = await step(
    "two tabs refresh at the same moment",
    () => Promise.all(tabs.map((tab) => tab.auth.refresh.mutate({ refreshToken }))),
    [{}, {}],
    "both are answered",
  );
  await step(
    "compares their new refresh tokens",
    () => ({
      areEqual: answers[0]?.refreshToken === answers[1]?.refreshToken,
      isNew: answers[0]?.refreshToken !== refreshToken,
    }),
    { areEqual: true, isNew: true },
    "one and the same, and a new one",
  );
  await step(
    "goes on in both tabs",
    () => Promise.all(tabs.map((tab) => tab.auth.me.query())),
    [{ user: { id: ada.userId } }, { user: { id: ada.userId } }],
    "both are signed in",
  );
  await ada.client.auth.refresh.mutate({ refreshToken: answers[0]?.refreshToken });

  const phone = await world.signIn(ada.email);
  const stolen = phone.tokens.refresh;
  await phone.client.auth.refresh.mutate({ refreshToken: stolen });
  await phone.client.auth.refresh.mutate({ refreshToken: phone.tokens.refresh });
  await refused(
    "a thief uses an old refresh token of her phone",
    () => world.clientWith().auth.refresh.mutate({ refreshToken: stolen }),
    { code: "REFRESH_REUSED" },
    "refused, and that sign-in ends for everybody",
  );
  await refused(
    "the phone's newest refresh token",
    () => world.clientWith().auth.refresh.mutate({ refreshToken: phone.tokens.refresh }),
    { code: "SESSION_REVOKED" },
    "refused: SESSION_REVOKED",
  );
  await refused(
    "the phone's access token",
    () => world.clientWith(phone.tokens.access).auth.me.query(),
    { code: "SESSION_REVOKED" },
    "refused at once, not in 15 minutes",
  );
  await step(
    "looks at her laptop",
    () => ada.client.auth.me.query(),
    { user: { id: ada.userId } },
    "still signed in",
  );
}

/** Ada signs out. Her tokens become worthless, and the database never contained them. */
export async function signingOut(
  world: DemoWorld,
  { act, step, refused }: Transcript,
  ada: Person,
): Promise<void> {
  act("She signs out");
  const { access, refresh } = ada.tokens;
  await step(
    "somebody copies the sessions table",
    async () => {
      const rows = await world.database.models.$queryRawUnsafe<unknown[]>(
        "SELECT * FROM sessions WHERE userId = ?",
        ada.userId,
      );
      const dump = JSON.stringify(rows);
      return {
        hasRows: rows.length > 0,
        hasAccessToken: dump.includes(access),
        hasRefreshToken: dump.includes(refresh),
      };
    },
    { hasRows: true, hasAccessToken: false, hasRefreshToken: false },
    "no token in it that would sign anybody in",
  );
  await step(
    "signs out",
    () => ada.client.auth.logout.mutate({ refreshToken: refresh }),
    {},
    "good-bye",
  );
  await refused(
    "her access token is tried",
    () => world.clientWith(access).auth.me.query(),
    { code: "SESSION_REVOKED" },
    "refused: SESSION_REVOKED",
  );
  await refused(
    "her refresh token is tried",
    () => world.clientWith().auth.refresh.mutate({ refreshToken: refresh }),
    { code: "SESSION_REVOKED" },
    "refused: SESSION_REVOKED",
  );

  // Of her four sign-ins, one was revoked because of the thief, and one has just been signed out. Left are the phone of
  // act 1 and this one.
  const phone = await world.signIn(ada.email);
  await step(
    "signs out everywhere, from her phone",
    () => phone.client.auth.logoutAll.mutate(),
    { revoked: 2 },
    "2 sign-ins ended",
  );
  await refused(
    "that phone's refresh token is tried",
    () => world.clientWith().auth.refresh.mutate({ refreshToken: phone.tokens.refresh }),
    { code: "SESSION_REVOKED" },
    "refused: SESSION_REVOKED",
  );
}
