/** The package has no types of its own. */
declare module "workerd" {
  const workerd: {
    /** Path of the executable. */
    readonly default: string;
  };
  export default workerd;
}
