/** Header in which a version's client says which object its request is for. */
export const OBJECT_HEADER = "sluice-object";
