/** The platform's clock and randomness, for `decide`. */
import type { Given } from "./decide.ts";

/** @param addressHeader header with the client's address that clients cannot forge; empty for none */
export function givenBy(addressHeader: string, isFromClient: boolean): Given {
  return {
    addressHeader,
    isFromClient,
    now: Date.now,
    random: Math.random,
    newIdentity: () => crypto.randomUUID(),
  };
}
