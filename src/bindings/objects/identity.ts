/** Which Durable Object a host runs, and the name of that host. Pure. */

export interface ObjectIdentity {
  readonly worker: string;
  /** Id of the namespace. */
  readonly namespace: string;
  /** The object's id, as its users see it. */
  readonly hex: string;
}

/** The name of the host that runs an object. */
export function hostName({ worker, namespace, hex }: ObjectIdentity): string {
  return `${worker}/${namespace}/${hex}`;
}

export function parseHostName(name: string): ObjectIdentity {
  const [worker = "", namespace = "", hex = ""] = name.split("/");
  return { worker, namespace, hex };
}
