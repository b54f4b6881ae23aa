/** Tokens that Sluice gives out itself, for one purpose and one Worker: nothing has to be looked up to tell a forged one. */
import { sign, verify } from "hono/jwt";
import type { Env } from "../lib/env.ts";

/** What a token is good for. */
export interface Claims {
  readonly purpose: "assets" | "tail";
  readonly worker: string;
  /** Of the session. */
  readonly id: string;
  /** Seconds since the epoch. */
  readonly exp: number;
}

const ALGORITHM = "HS256";

export function signToken({ SLUICE_TOKEN_SHA256 }: Env, claims: Claims): Promise<string> {
  return sign({ ...claims }, SLUICE_TOKEN_SHA256, ALGORITHM);
}

/** What a token says; undefined where it is not one of ours, for something else, or too old. */
export async function verifyToken(
  { SLUICE_TOKEN_SHA256 }: Env,
  purpose: Claims["purpose"],
  token: string,
): Promise<Claims | undefined> {
  try {
    const claims = (await verify(token, SLUICE_TOKEN_SHA256, ALGORITHM)) as unknown as Claims;
    return claims.purpose === purpose ? claims : undefined;
  } catch {
    return undefined;
  }
}
