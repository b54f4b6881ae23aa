/** (a) What a request costs with nothing in front. */
export default {
  fetch: () => new Response("Hello from version 1\n"),
};
