/**
 * What Sluice's code in a version uses of JavaScript's own, from before the version's code can replace it. Used where more
 * depends on it than the version's own calls: events, the end of a Durable Object's calls, and what a binding refuses.
 */

/** A method that takes its `this` as the first argument. */
function withThis<This, Args extends unknown[], Result>(
  method: (this: This, ...args: Args) => Result,
): (self: This, ...args: Args) => Result {
  return Function.prototype.call.bind(method) as never;
}

const list: unknown[] = [];

export const captured = {
  Promise,
  Proxy,
  parseJson: JSON.parse,
  getProperty: Reflect.get,
  logError: console.error.bind(console),
  startsWith: withThis(String.prototype.startsWith),
  push: withThis(list.push) as <T>(list: T[], value: T) => number,
  map: withThis(list.map) as <T, U>(list: readonly T[], convert: (value: T) => U) => U[],
} as const;
