/** `loader`: a passthrough through Worker Loader. Shows the cost of a call into a loaded isolate. */
const code = () => ({
  compatibilityDate: "2026-11-17",
  mainModule: "index.js",
  modules: { "index.js": `export default { fetch: () => new Response("Hello from version 1\\n") };` },
});

export default {
  fetch: (request: Request, env: { LOADER: WorkerLoader }) =>
    env.LOADER.get(Math.random() < 0.5 ? "a" : "b", code)
      .getEntrypoint()
      .fetch(request),
};
