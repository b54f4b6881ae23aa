/** What `ctx.exports` has, for the compiler: nothing imports this file. */
declare namespace Cloudflare {
  interface GlobalProps {
    readonly mainModule: typeof import("./index.ts");
  }
}
