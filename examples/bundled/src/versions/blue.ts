export default {
  fetch: () => new Response("Hello from blue\n"),
};
