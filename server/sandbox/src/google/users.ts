// The people who can sign in at the Google stand-in: a stable `sub` per address, any address welcome.
import { createHash } from "node:crypto";

export interface GoogleUser {
  sub: string;
  email: string;
  name: string;
  /** Left out unless given: a made-up address would be a broken image on a machine without the internet. */
  picture?: string;
  email_verified: boolean;
}

const MAX_USERS = 10_000;

/** A 21-digit number like Google's, the same for an address every time. */
export function subFor(email: string): string {
  const digest = createHash("sha256")
    .update(`skywork-sandbox:${email.toLowerCase()}`)
    .digest("hex");
  return `1${(BigInt(`0x${digest.slice(0, 24)}`) % 10n ** 20n).toString().padStart(20, "0")}`;
}

function nameOf(email: string): string {
  return (email.split("@", 1)[0] ?? email)
    .split(/[._+-]+/)
    .filter((part) => part !== "")
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join(" ");
}

/** A user with everything that is not given made up from the address. */
export function userFor(email: string, given: Partial<GoogleUser> = {}): GoogleUser {
  const name = given.name ?? nameOf(email);
  const sub = given.sub ?? subFor(email);
  return {
    sub,
    email,
    name,
    ...(given.picture === undefined ? {} : { picture: given.picture }),
    email_verified: given.email_verified ?? true,
  };
}

/** The person whom `npm run dev` makes an administrator, unless ADMIN_EMAILS says otherwise. */
export const SANDBOX_ADMIN_EMAIL = "admin@example.com";

export const SAMPLE_USERS: GoogleUser[] = [
  userFor("ada.lovelace@example.com"),
  userFor("grace.hopper@example.com"),
  userFor(SANDBOX_ADMIN_EMAIL, { name: "Admin Person" }),
];

export interface Users {
  all(): GoogleUser[];
  bySub(sub: string): GoogleUser | undefined;
  /** The user with this address, made on the spot when new. */
  signIn(email: string): GoogleUser;
  set(user: GoogleUser): void;
  /** Gives the person at `email` another address under the same `sub`. */
  rename(email: string, newEmail: string): GoogleUser;
}

/** Creates the user list. */
export function createUsers(initial: GoogleUser[]): Users {
  const bySub = new Map(initial.map((user) => [user.sub, user]));
  const find = (email: string): GoogleUser | undefined =>
    [...bySub.values()].find((user) => user.email.toLowerCase() === email.toLowerCase());
  const set = (user: GoogleUser): void => {
    bySub.set(user.sub, user);
    for (const oldest of bySub.keys()) {
      if (bySub.size <= MAX_USERS) break;
      bySub.delete(oldest);
    }
  };
  const signIn = (email: string): GoogleUser => {
    const known = find(email);
    if (known !== undefined) return known;
    let user = userFor(email);
    // A renamed person keeps the sub of the old address; a newcomer at that address is someone else.
    for (let i = 1; bySub.has(user.sub); i += 1)
      user = userFor(email, { sub: subFor(`${email}#${i}`) });
    set(user);
    return user;
  };
  return {
    all: () => [...bySub.values()],
    bySub: (sub) => bySub.get(sub),
    signIn,
    set,
    rename: (email, newEmail) => {
      const user = { ...signIn(email), email: newEmail };
      set(user);
      return user;
    },
  };
}
