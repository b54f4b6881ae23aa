/**
 * unleash-client is CommonJS and requires modules of Node, which esbuild leaves to a `require` that a module Worker
 * does not have. To be imported before it.
 */
import { createRequire } from "node:module";

Object.assign(globalThis, { require: createRequire("/") });
