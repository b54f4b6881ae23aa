/** What a version's client and the objects' channel and hosts agree on. */

/** Header in which a version's client says which object its request is for. */
export const OBJECT_HEADER = "sluice-object";

/** Id of the facet that runs an object, as JSON: the object's own id, and the name it was made from, if any. */
export interface FacetId {
  readonly hex: string;
  readonly name: string | undefined;
}
