/** `direct`: a Worker without a router. */
export default {
  fetch: () => new Response("Hello from version 1\n"),
};
