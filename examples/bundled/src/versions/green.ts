export default {
  fetch: () => new Response("Hello from green\n"),
};
