/**
 * unleash-client is CommonJS and requires Node's modules. esbuild leaves that to a `require`, which a module Worker does
 * not have. Import this file before unleash-client.
 */
import { createRequire } from "node:module";

Object.assign(globalThis, { require: createRequire("/") });
