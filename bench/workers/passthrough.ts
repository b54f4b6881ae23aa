/** `passthrough`: the least work of any router with isolates. One line, and service bindings to two Workers. */
export default {
  fetch: (request: Request, env: { A: Fetcher; B: Fetcher }) =>
    (Math.random() < 0.5 ? env.A : env.B).fetch(request),
};
