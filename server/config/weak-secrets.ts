// What counts as a weak secret: published, patterned, readable, or of a form that cannot hold enough randomness.
import { createHash } from "node:crypto";
import published from "./published-secrets.json" with { type: "json" };

/** What `npm run secrets:write` collects: the publishedMark of each value, never the secret itself. */
export const PUBLISHED: ReadonlySet<string> = new Set(published);

const PLACEHOLDER =
  /change[-_ ]?(me|this|it)|replace[-_ ]?(me|this|with)|your[-_ ].*(secret|key|token|id)|placeholder|insert[-_ ]|^example|\btodo\b|x{6,}|^<.*>$|^\.{3}|\.{3}$/i;

/** Whether a value is text left over from an example. */
export function isPlaceholder(value: string): boolean {
  return PLACEHOLDER.test(value) || PUBLISHED.has(publishedMark(value));
}

/** Returns what is stored of a published value: eight bytes of its hash identify it without giving attackers a list. */
export function publishedMark(value: string): string {
  return createHash("sha256").update(value.trim().toLowerCase()).digest("hex").slice(0, 16);
}

/** Words that people build secrets from, and their usual neighbours. */
const WORDS =
  "abcd access admin all also always and any api app application are asdf auth awesome bank base base64 best bit bits blog book boot byte bytes can change char character characters chars chat client code company cookie crypto data decrypt default demo dev development django email encode encoded encrypt encryption ever example express five flask for four from game generate generated generator good great has hash have hello here hmac home how java json just jwt keep key know knows laravel least length local login long love master money mongo more must mysql name never node not oauth one only our pass passwd password pay payment please private prod production project public python qwerty rails random react really redis refresh rest root safe salt sample secret secure security server service session sha shop should sign signature signing some spring store stored string strong super test testing than that the there this three token too two use used user using value very was what when who why will with word world xyz you your zxcv".split(
    " ",
  );
const LEET: Readonly<Record<string, string>> = {
  "0": "o",
  "1": "i",
  "3": "e",
  "4": "a",
  "5": "s",
  "7": "t",
  $: "s",
  "@": "a",
  "!": "i",
};

/** The letter pairs that make up most of English (and much of what else people type). */
const PAIRS = new Set(
  "th he in er an re nd at on nt ha es st en ed to it ou ea hi is or ti as te et ng of al de se le sa si ar ve ra ld ur co me ro ri io ic ne li ch ll be ma ce om us ec ho il la el ta lo ss pe no ei ow wi un tr ut ac so ee ie pr ke ai ot ly sh da em op wh ge ad ts ry po rs mo fo id gh cr ey ok ap pl ck my yo".split(
    " ",
  ),
);
const ROWS = [
  "abcdefghijklmnopqrstuvwxyz",
  "01234567890123456789",
  "qwertyuiop",
  "asdfghjkl",
  "zxcvbnm",
  "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
  "1q2w3e4r5t6y7u8i9o0p",
].flatMap((row) => [row, Array.from(row).reverse().join("")]);
/** The output of a widely used "encryption key" generator: pieces of one endless string. */
const GENERATOR =
  /[dD]RgUkXp|[dD]RfUjXn|cQfTjWnZr|cRfUjXn2r|[aA]PdSgVkYp|bPeShVmYq|bQeThWmZq|bPdSgVkYp|fTjWnZr4|gUkXp2s5|gVkYp3s6|hVmYq3t6|hWmZq4t7|jXn2r5u8/;

/** Returns why `value` must not be used as a secret, or null. `minBytes` is 32 by RFC 7518 section 3.2 for HS256. */
export function findWeakness(value: string, minBytes = 32): string | null {
  const bytes = Buffer.byteLength(value);
  if (bytes < minBytes) return `has ${bytes} bytes, fewer than ${minBytes}`;
  if (isPlaceholder(value)) return "is a placeholder or a published value";
  if (/^\$2[abxy]?\$|^\{?(bcrypt|sha\d+|argon2\w*)[}:$]/i.test(value))
    return "is a published kind of hash";
  if (GENERATOR.test(value)) return "comes from a public key generator";
  return patternOf(value) ?? formOf(value, minBytes) ?? readingOf(value) ?? decodedOf(value);
}

function patternOf(value: string): string | null {
  if (new Set(value).size < 8) return "repeats a few characters";
  if (/(.)\1{7,}/.test(value)) return "repeats one character";
  for (let period = 1; period <= value.length / 2; period += 1) {
    const repeated = value.slice(0, period).repeat(Math.ceil(value.length / period));
    if (value === repeated.slice(0, value.length)) return `repeats the same ${period} characters`;
  }
  if (covered(value.toLowerCase(), runs(value.toLowerCase())) >= 0.5)
    return "follows the alphabet, the digits or the keyboard";
  return null;
}

/** Refuses UUIDs, and plain digits, hex or letters of one case that hold fewer than five bits per required byte. */
function formOf(value: string, minBytes: number): string | null {
  const plain = value.replaceAll("-", "");
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value))
    return "is a UUID, which names things and is no secret";
  const symbols = /^\d+$/.test(plain) ? 10 : /^[0-9a-f]+$/i.test(plain) ? 16 : 26;
  const isPlain = symbols < 26 || /^[a-z]+$/.test(plain) || /^[A-Z]+$/.test(plain);
  const bits = Math.floor(plain.length * Math.log2(symbols));
  if (isPlain && bits < minBytes * 5) return `holds ${bits} bits of chance at most`;
  return null;
}

function readingOf(value: string): string | null {
  const folded = Array.from(value.toLowerCase(), (char) => LEET[char] ?? char).join("");
  if (covered(folded, words(folded)) >= 0.4) return "is made of words";
  if (/^[0-9a-f-]+$/i.test(value)) return null;
  const pairs = value.match(/(?=([a-z]{2}|[A-Z]{2}|[A-Z][a-z]))/g)?.length ?? 0;
  if (pairs < 14) return null;
  const usual = Array.from(value.matchAll(/(?=([a-z]{2}|[A-Z]{2}|[A-Z][a-z]))/g)).filter((match) =>
    PAIRS.has((match[1] ?? "").toLowerCase()),
  ).length;
  return usual / pairs >= 0.6 ? "reads like words" : null;
}

/** Refuses readable text that is merely encoded in base64 or hexadecimal. */
function decodedOf(value: string): string | null {
  for (const encoding of ["hex", "base64"] as const) {
    const form = encoding === "hex" ? /^([0-9a-f]{2})+$/i : /^[A-Za-z0-9+/_-]+={0,2}$/;
    if (!form.test(value)) continue;
    if (/^[\x20-\x7e\r\n\t]{8,}$/.test(Buffer.from(value, encoding).toString("latin1")))
      return `is readable text in ${encoding}`;
  }
  return null;
}

/** Returns the share of `text` that `pieces` (start and length) cover. */
function covered(text: string, pieces: readonly (readonly [number, number])[]): number {
  const under = new Set<number>();
  for (const [start, length] of pieces)
    for (let index = start; index < start + length; index++) under.add(index);
  return under.size / text.length;
}

function words(text: string): [number, number][] {
  const found: [number, number][] = [];
  for (const word of WORDS)
    for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1))
      found.push([at, word.length]);
  return found;
}

/** Finds the four-character pieces that occur in one of the rows. */
function runs(text: string): [number, number][] {
  const found: [number, number][] = [];
  for (let start = 0; start + 4 <= text.length; start++) {
    const piece = text.slice(start, start + 4);
    if (ROWS.some((row) => row.includes(piece))) found.push([start, 4]);
  }
  return found;
}
