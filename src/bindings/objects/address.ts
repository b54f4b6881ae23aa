/** Which object of which namespace of which Worker, as the name of its host. Pure. */
export interface Address {
  readonly worker: string;
  readonly namespace: string;
  /** The object's id as its users see it. */
  readonly hex: string;
}

export function addressOf({ worker, namespace, hex }: Address): string {
  return `${worker}/${namespace}/${hex}`;
}

export function parseAddress(text: string): Address {
  const [worker = "", namespace = "", hex = ""] = text.split("/");
  return { worker, namespace, hex };
}
