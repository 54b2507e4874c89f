// The signing keys of the Google stand-in: RS256, rotated on request, published as a JWKS.
import { type CryptoKey, exportJWK, generateKeyPair, type JWK } from "jose";

export interface SigningKey {
  kid: string;
  privateKey: CryptoKey;
  publicKey: CryptoKey;
  privateJwk: JWK;
  publicJwk: JWK;
}

/** Makes a fresh RS256 key pair named `kid`. */
export async function makeKey(kid: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
  const about = { kid, alg: "RS256", use: "sig" };
  return {
    kid,
    privateKey,
    publicKey,
    privateJwk: { ...(await exportJWK(privateKey)), ...about },
    publicJwk: { ...(await exportJWK(publicKey)), ...about },
  };
}

export interface KeyRing {
  current(): SigningKey;
  jwks(): { keys: JWK[] };
  /** Switches to a new signing key. `keepOld` leaves the old ones (at most 4) in the JWKS. */
  rotate(keepOld: boolean): Promise<SigningKey>;
}

/** Creates a ring with one key. */
export async function createKeyRing(): Promise<KeyRing> {
  let count = 1;
  const first = await makeKey(`sandbox-key-${count}`);
  let keys = [first];
  return {
    current: () => keys[0] ?? first,
    jwks: () => ({ keys: keys.map((key) => key.publicJwk) }),
    rotate: async (keepOld) => {
      count += 1;
      const made = await makeKey(`sandbox-key-${count}`);
      keys = keepOld ? [made, ...keys].slice(0, 5) : [made];
      return made;
    },
  };
}
