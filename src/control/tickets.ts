/**
 * Tickets: signed strings that Sluice hands out for one purpose and one Worker, to clients that come without an API token.
 * The signature alone tells a forged ticket, so nothing has to be looked up.
 */
import { sign, verify } from "hono/jwt";
import type { Env } from "../lib/env.ts";

/** What a ticket permits. */
export interface Ticket {
  readonly purpose: "assets" | "tail";
  readonly worker: string;
  /** Id of the upload of assets, or of the tail. */
  readonly id: string;
  /** End of its validity, in seconds since the epoch. */
  readonly exp: number;
}

const ALGORITHM = "HS256";

export function signTicket({ SLUICE_TOKEN_SHA256 }: Env, ticket: Ticket): Promise<string> {
  return sign({ ...ticket }, SLUICE_TOKEN_SHA256, ALGORITHM);
}

/** Undefined where Sluice did not sign it, where it is for another purpose, and where it has expired. */
export async function verifyTicket(
  { SLUICE_TOKEN_SHA256 }: Env,
  purpose: Ticket["purpose"],
  signed: string,
): Promise<Ticket | undefined> {
  try {
    const ticket = (await verify(signed, SLUICE_TOKEN_SHA256, ALGORITHM)) as unknown as Ticket;
    return ticket.purpose === purpose ? ticket : undefined;
  } catch {
    return undefined;
  }
}
