/** The passthrough's line through Worker Loader: what the way into a loaded isolate costs. */
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
