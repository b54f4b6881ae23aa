/** `sluice token`: API tokens and their roles. */
import { call, type Target } from "./api.ts";

export interface TokenView {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly created_on: string;
  readonly created_by: string;
  readonly last_used_on: string | null;
  /** Given once, when it is made. */
  readonly value?: string;
}

export function createToken(target: Target, name: string, role: string): Promise<TokenView> {
  return call(target, "POST", "/tokens", { name, role });
}

export function listTokens(target: Target): Promise<TokenView[]> {
  return call(target, "GET", "/tokens");
}

/** @param token its id or name */
export function revokeToken(target: Target, token: string): Promise<{ id: string }> {
  return call(target, "DELETE", `/tokens/${encodeURIComponent(token)}`);
}
