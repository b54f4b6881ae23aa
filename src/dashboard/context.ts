/** What every page gets: the signed-in user, and the API as that user may call it. */
import type { Context } from "hono";
import type { Identity } from "../account/identity.ts";
import type { Env } from "../lib/env.ts";

export interface PageEnv {
  Bindings: Env;
  Variables: { user: SignedIn; call: CallApi };
}

export type PageContext = Context<PageEnv>;

/** The API's envelope, with the HTTP status. */
export interface Reply<T> {
  readonly status: number;
  readonly success: boolean;
  readonly errors: readonly { readonly code: number; readonly message: string }[];
  readonly result: T;
  readonly result_info?: { readonly page: number; readonly per_page: number; readonly total_count: number };
}

/** Calls the API as the signed-in user. The path starts below the account. */
export type CallApi = <T>(method: string, path: string, body?: object | FormData) => Promise<Reply<T>>;

/** Ends a page with an error page of this status, which shows the message. */
export class PageError extends Error {
  override readonly name = "PageError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The result of a GET. If the API refuses, so does the page. */
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

/** An API path below a Worker. */
export function scriptPath(worker: string, rest = ""): string {
  return `/workers/scripts/${encodeURIComponent(worker)}${rest}`;
}

/** Whether to show buttons. The API refuses the others' changes anyway. */
export function mayChange(c: PageContext): boolean {
  return c.var.user.role !== "read";
}

/** The page number in the query, from 1. */
export function pageNumber(c: PageContext): number {
  return Math.max(Math.trunc(Number(c.req.query("page"))) || 1, 1);
}

/** The signed-in user. */
export interface SignedIn extends Identity {
  /** Every form sends it, which proves that it comes from a page of this session. */
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
