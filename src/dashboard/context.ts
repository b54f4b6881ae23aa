/** What every page gets: who is signed in, and the API as they may use it. */
import type { Context } from "hono";
import type { Identity } from "../account/identity.ts";
import type { Env } from "../lib/env.ts";

export interface PageEnv {
  Bindings: Env;
  Variables: { user: SignedIn; call: CallApi };
}

export type PageContext = Context<PageEnv>;

/** What the API answered, in its envelope. */
export interface Reply<T> {
  readonly status: number;
  readonly success: boolean;
  readonly errors: readonly { readonly code: number; readonly message: string }[];
  readonly result: T;
  readonly result_info?: { readonly page: number; readonly per_page: number; readonly total_count: number };
}

/** Calls the API below the account as whoever is signed in. */
export type CallApi = <T>(method: string, path: string, body?: object | FormData) => Promise<Reply<T>>;

/** A page that cannot be shown: what the API said, with its status. */
export class PageError extends Error {
  override readonly name = "PageError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The result of a GET; a refusal becomes the page's own. */
export async function read<T>(c: PageContext, path: string): Promise<T> {
  return (await readReply<T>(c, path)).result;
}

export async function readReply<T>(c: PageContext, path: string): Promise<Reply<T>> {
  const reply = await c.var.call<T>("GET", path);
  if (!reply.success) throw new PageError(reply.status, messageOf(reply));
  return reply;
}

export function messageOf({ errors }: Reply<unknown>): string {
  return errors.map(({ message }) => message).join(" ");
}

/** Path of the API below a Worker. */
export function scriptPath(worker: string, rest = ""): string {
  return `/workers/scripts/${encodeURIComponent(worker)}${rest}`;
}

/** Whether the user may change things: others see no buttons, and the API refuses them. */
export function mayChange(c: PageContext): boolean {
  return c.var.user.role !== "read";
}

/** Page number of the query, from 1. */
export function pageNumber(c: PageContext): number {
  return Math.max(Math.trunc(Number(c.req.query("page"))) || 1, 1);
}

/** Somebody who is signed in. */
export interface SignedIn extends Identity {
  /** What every form of theirs has to send. */
  readonly csrf: string;
}

/** A parameter of the path. */
export function param(c: PageContext, name: string): string {
  return c.req.param(name as never) ?? "";
}

/** The Worker in the path. */
export function workerOf(c: PageContext): string {
  return param(c, "worker");
}

/** The status of a refusal, for the page that shows it. */
export function statusOf({ status }: Reply<unknown>): 400 {
  return status as 400;
}
