/** Objects that pass their method calls on. Pure. */

/**
 * `target`, with `call` for every method that it does not have: for entrypoints and objects that stand for others. Return
 * this from a constructor: the runtime looks methods up on the returned object.
 */
export function forwarding<T extends object>(target: T, call: (method: string) => unknown): T {
  return new Proxy(target, {
    get: (own, property) => {
      if (typeof property !== "symbol" && !(property in own)) return call(property);
      const value: unknown = Reflect.get(own, property, own);
      // Bound, since a method of the proxy would not see the target's private fields.
      return typeof value === "function" ? value.bind(own) : value;
    },
  });
}
