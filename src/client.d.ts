/** The bundle of src/versions/client as text: made by src/cli/bundle.ts, or by scripts/client.ts where wrangler bundles. */
declare module "#client" {
  const code: string;
  export default code;
}
