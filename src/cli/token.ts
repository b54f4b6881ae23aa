/** `sluice token`: API tokens and their roles. */
import type { TokenView } from "../account/types.ts";
import { call, type Target } from "./api.ts";

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
