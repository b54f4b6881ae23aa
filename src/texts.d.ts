/** What the Worker holds as text: src/cli/bundle.ts builds it. */
declare module "#client" {
  const text: string;
  export default text;
}

declare module "#dashboard/*" {
  const text: string;
  export default text;
}
