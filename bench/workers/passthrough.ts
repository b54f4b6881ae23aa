/** (b) The least that any router with isolates can do: one service binding, one line. */
export default {
  fetch: (request: Request, env: { DIRECT: Fetcher }) => env.DIRECT.fetch(request),
};
