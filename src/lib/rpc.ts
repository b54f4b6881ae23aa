/** Calls between isolates: what the other end of a stub can be asked. */

type Remote<Entrypoint> = {
  readonly [Method in keyof Entrypoint]: Entrypoint[Method] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
};

/** The methods of an entrypoint or a Durable Object of Sluice, as code in another isolate calls them. */
export type Rpc<Entrypoint> = Omit<Remote<Entrypoint>, "fetch"> & { readonly fetch: typeof fetch };

/**
 * The Durable Object with this name. The accessor beside each class calls this and says which class it is: the
 * platform's own type for it would make every file that names a binding import every class.
 */
export function stubOf<Class>(namespace: DurableObjectNamespace, name: string): Rpc<Class> {
  return namespace.get(namespace.idFromName(name)) as unknown as Rpc<Class>;
}
