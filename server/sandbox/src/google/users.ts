// The users of the Google stand-in: any address can sign in, and each has a stable `sub`.
import { createHash } from "node:crypto";

export interface GoogleUser {
  sub: string;
  email: string;
  name: string;
  /** Left out unless given, because a made-up URL would show a broken image on an offline machine. */
  picture?: string;
  email_verified: boolean;
}

const MAX_USERS = 10_000;

/** A 21-digit number like Google's, always the same for a given address. */
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

/** A user whose missing fields are derived from the address. */
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

/** The user whom `npm run dev` makes an administrator, unless ADMIN_EMAILS is set. */
export const SANDBOX_ADMIN_EMAIL = "admin@example.com";

export const SAMPLE_USERS: GoogleUser[] = [
  userFor("ada.lovelace@example.com"),
  userFor("grace.hopper@example.com"),
  userFor(SANDBOX_ADMIN_EMAIL, { name: "Admin Person" }),
];

export interface Users {
  all(): GoogleUser[];
  bySub(sub: string): GoogleUser | undefined;
  /** Returns the user with this address, creating a new one if needed. */
  signIn(email: string): GoogleUser;
  set(user: GoogleUser): void;
  /** Changes the address of the user at `email`; the `sub` stays. */
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
    // A renamed user keeps the `sub` of the old address, so a newcomer at that address needs another one.
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
