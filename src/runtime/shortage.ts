/** Whether this process has few descriptors left, as the supervisor last said. It ends if it cannot accept a connection. */

let isShort = false;

export function setShort(short: boolean): void {
  isShort = short;
}

/** The answer to every request while descriptors are short; undefined otherwise. */
export function refusal(): Response | undefined {
  if (!isShort) return undefined;
  return new Response("The server has too many connections at the moment.\n", {
    status: 503,
    headers: { "Content-Type": "text/plain; charset=utf-8", "Retry-After": "5" },
  });
}
