/** Tokens: making them, hashing them, comparing them. */

import { toHex, utf8 } from "./bytes.ts";

/** Takes the same time wherever the two differ. */
export function equalInConstantTime(given: string, expected: string): boolean {
  const [a, b] = [utf8(given), utf8(expected)];
  return a.length === b.length && crypto.subtle.timingSafeEqual(a, b);
}

export async function sha256Hex(bytes: ArrayBuffer | Uint8Array): Promise<string> {
  return toHex(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
}

/** Something that nobody can guess, for a token, a session or a form. */
export function randomText(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}
