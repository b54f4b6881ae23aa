/**
 * `target` as it is, and whatever else is asked of it from `call`: for entrypoints and objects that stand for somebody
 * else's. To be returned by a constructor, since the runtime looks methods up on what that gives it.
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
