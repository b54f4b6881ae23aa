import { expect, test } from "vitest";
import { earlierVersion } from "../../src/cli/rollback.ts";

const share = (number: number, percentage = 100) => ({ version_id: `v${number}`, number, percentage });
const history = (...deployments: readonly (readonly ReturnType<typeof share>[])[]) =>
  deployments.map((versions) => ({ versions }));

test("a rollback goes to the last version that had all traffic", () => {
  expect(earlierVersion(history([share(3)], [share(2)], [share(1)]))?.number).toBe(2);
});

test("a rollback of a split goes to its stable version", () => {
  const split = [share(2, 90), share(3, 10)];
  expect(earlierVersion(history(split, [share(2)], [share(1)]))?.number).toBe(2);
});

test("a rollback passes over splits, and over deployments of the version that serves", () => {
  const split = [share(2, 50), share(3, 50)];
  expect(earlierVersion(history([share(3)], split, [share(3)], [share(2)]))?.number).toBe(2);
});

test("a second rollback goes further back, not to what the first one took away", () => {
  expect(earlierVersion(history([share(2)], [share(3)], [share(2)], [share(1)]))?.number).toBe(1);
  expect(earlierVersion(history([share(1)], [share(2)], [share(1)]))).toBeUndefined();
});

test("a Worker that was deployed once, or never, has nothing to go back to", () => {
  expect(earlierVersion(history([share(1)]))).toBeUndefined();
  expect(earlierVersion([])).toBeUndefined();
});
