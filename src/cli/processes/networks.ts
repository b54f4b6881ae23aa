/** What Sluice and versions can reach over the network, as services of workerd's configuration. Pure. */
import type { Capnp } from "./capnp.ts";

export interface NetworkSetup {
  /** Certificates that are trusted beside the public ones, in PEM. */
  readonly certificates: readonly string[];
  /** Addresses of this machine itself, which versions cannot reach, as CIDR blocks. */
  readonly own: readonly string[];
  /** Blocks that versions can reach all the same. */
  readonly reachable: readonly string[];
}

/**
 * Where requests go: `internet` for Sluice's own, such as webhooks, and `outside` for those of versions. The runtime
 * checks the address that it connects to, so a name or a redirect cannot lead around the rule. The most specific block
 * that matches an address decides.
 */
export function networks({ certificates, reachable, own }: NetworkSetup): Capnp[] {
  const tlsOptions = { trustBrowserCas: true, trustedCertificates: certificates };
  const deny = [...METADATA, ...own].filter((block) => !reachable.includes(block));
  return [
    { name: "internet", network: { allow: ["public", "private", "240.0.0.0/4"], tlsOptions } },
    { name: "outside", network: { allow: ["public", ...LOCAL_NETWORKS, ...reachable], deny, tlsOptions } },
  ];
}

/**
 * Networks beside the machine (RFC 1918, 6598, 4193, 1112). The runtime's "private" would include the machine itself and
 * link-local addresses (RFC 1122, 3927, 4291), where clouds have their metadata services.
 */
const LOCAL_NETWORKS = [
  ...["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "240.0.0.0/4"],
  "fc00::/7",
];

/** Metadata services at other addresses: those of AWS for IPv6, Alibaba and Oracle. */
const METADATA = ["fd00:ec2::/32", "100.100.100.200/32", "192.0.0.192/32"];
