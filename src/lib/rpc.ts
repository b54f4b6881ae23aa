/** The methods of an entrypoint of Sluice's own, as code in another isolate calls them. */
type Remote<Entrypoint> = {
  readonly [Method in keyof Entrypoint]: Entrypoint[Method] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
};

export type Rpc<Entrypoint> = Omit<Remote<Entrypoint>, "fetch"> & { readonly fetch: typeof fetch };
