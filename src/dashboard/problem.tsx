/** Pages that say what is wrong. */
import type { PageContext } from "./context.ts";
import { errorPage } from "./pages/sign-in.tsx";

const TITLES: Readonly<Record<number, string>> = {
  404: "Not found",
  403: "Not allowed",
  500: "A fault in Sluice",
};

export function problem(c: PageContext, status: number, message: string): Response | Promise<Response> {
  return c.html(errorPage(c.env, TITLES[status] ?? "This did not work", message), status as 400);
}
