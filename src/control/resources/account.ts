/** Who calls, and the account: what `wrangler whoami` reads. */

import { isSafeMode } from "../../lib/safe-mode.ts";
import { drainAll } from "../../versions/changes.ts";
import type { ControlContext } from "../context.ts";
import { success } from "../envelope.ts";
import { flush } from "./metrics.ts";

const account = (c: ControlContext) => ({ id: c.env.SLUICE_ACCOUNT_ID, name: "Sluice" });

export function verifyToken(c: ControlContext): Response {
  return success({ id: c.var.author.id, status: "active" });
}

export function getUser(c: ControlContext): Response {
  const { id, email } = c.var.author;
  return success({ id, email });
}

export function listAccounts(c: ControlContext): Response {
  return success([account(c)]);
}

export function listMemberships(c: ControlContext): Response {
  return success([
    {
      id: "admin",
      status: "accepted",
      account: account(c),
      roles: [c.var.role === "admin" ? "Administrator" : c.var.role],
    },
  ]);
}

/** The account's workers.dev label, which older wranglers print. Sluice serves Workers under its own domain. */
export function getSubdomain(c: ControlContext): Response {
  return success({ subdomain: c.env.SLUICE_ACCOUNT_ID });
}

/** POST …/drain, before the server stops: writes all counts to disk, and ends live pages, which would keep it running. */
export async function drain(c: ControlContext): Promise<Response> {
  drainAll();
  await flush(c);
  return success(null);
}

/** GET …/server: how the server runs. */
export function getServer(c: ControlContext): Response {
  return success({ safe_mode: isSafeMode(c.env) });
}

/** The empty list, for what this release does not have. */
export function listNothing(): Response {
  return success([]);
}
