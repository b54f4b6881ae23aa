import { describe, expect, test } from "vitest";
import { isHashed } from "../../src/assets/hashed.ts";

describe("a file that is called by its content", () => {
  test("is known by the names that build tools give", () => {
    for (const path of [
      "/assets/index-DiwrgTda.js", // Vite
      "/assets/index-BkZ3x_0-.css",
      "/assets/logo-5kK-_9aZ.svg",
      "/static/js/main.8a7b6c5d.chunk.js", // Create React App
      "/static/css/main.073c9b0a.css",
      "/_next/static/chunks/framework-64ad27b21261a9ce.js", // Next.js
      "/_next/static/8sVbRkPzT1qYwJ4mN0cLx/_buildManifest.js",
      "/_app/immutable/entry/start.CkBrXrQn.js", // SvelteKit
      "/_astro/hoisted.CQ0mE9zX.js", // Astro
      "/_nuxt/DiwrgTda.js", // Nuxt
      "/main-5TQMPVJ4.js", // Angular
      "/app-0a1b2c3d4e5f6a7b8c9d.js", // Gatsby
      "/build/q-BJ2dxPBg.js", // Qwik
      "/fonts/inter.3fa8bc12.woff2",
      "/bundle.3fa8bc12d4.js.map",
    ]) {
      expect(isHashed(path), path).toBe(true);
    }
  });

  test("is not seen in names that mean something", () => {
    for (const path of [
      "/",
      "/index.html",
      "/about",
      "/app.js",
      "/favicon.ico",
      "/my-component.js",
      "/jquery-migrate.min.js",
      "/images/photograph-background.png",
      "/robots.txt",
      "/blog/2026-11-23/a-long-title",
      "/api/users/3f2504e04f8911d39a0c0305e82c3301",
      "/docs/page-3f2504e0.html",
      "/.well-known/security.txt",
      "/manifest.webmanifest",
      "/styles-mobile.css",
    ]) {
      expect(isHashed(path), path).toBe(false);
    }
  });
});
