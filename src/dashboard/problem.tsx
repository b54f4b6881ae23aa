/** Error pages. */
import type { PageContext } from "./context.ts";
import { errorPage } from "./pages/sign-in.tsx";

const TITLES: Readonly<Record<number, string>> = {
  404: "Not found",
  403: "Not allowed",
  500: "Internal error",
};

export function problem(c: PageContext, status: number, message: string): Response | Promise<Response> {
  return c.html(errorPage(c.env, TITLES[status] ?? "Request failed", message), status as 400);
}
