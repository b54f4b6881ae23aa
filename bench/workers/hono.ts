/** A Hono app, set up as the router's is, that does nothing but answer: what the framework costs. */
import { Hono } from "hono";
import { OneRoute } from "../../src/router/one-route.ts";

const app = new Hono({ router: new OneRoute(), getPath: () => "/" });
app.all("*", () => new Response("Hello from version 1\n"));

export default app;
