/** Modules that the contenders import without types: Node's types belong to the project's other tsconfig only. */
declare module "node:crypto" {
  export function createHash(algorithm: "sha1"): {
    update(text: string): { digest(encoding: "hex"): string };
  };
}
declare module "node:module" {
  export function createRequire(path: string): unknown;
}
declare module "*/growthbook/dist/bundles/esm.min.js" {
  export { GrowthBookClient } from "@growthbook/growthbook";
}
declare module "*/growthbook/dist/esm/util.mjs" {
  export function hash(seed: string, value: string, version: number): number | null;
  export function chooseVariation(bucket: number, ranges: readonly (readonly [number, number])[]): number;
}
