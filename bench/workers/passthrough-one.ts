/** The same line with one Worker behind it: one isolate less in the processor's caches. */
export default {
  fetch: (request: Request, env: { A: Fetcher }) => env.A.fetch(request),
};
