/** The least that any router with isolates can do: one line, and a service binding to each of two Workers. */
export default {
  fetch: (request: Request, env: { A: Fetcher; B: Fetcher }) =>
    (Math.random() < 0.5 ? env.A : env.B).fetch(request),
};
