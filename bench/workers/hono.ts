/** `hono`: a Hono app set up like the router's that only answers. Shows the framework's cost. */
import { Hono } from "hono";
import { OneRoute } from "../../src/router/one-route.ts";

const app = new Hono({ router: new OneRoute(), getPath: () => "/" });
app.all("*", () => new Response("Hello from version 1\n"));

export default app;
