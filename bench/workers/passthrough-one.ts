/** `passthrough-one`: a passthrough to one Worker, so one isolate fewer in the processor's caches. */
export default {
  fetch: (request: Request, env: { A: Fetcher }) => env.A.fetch(request),
};
