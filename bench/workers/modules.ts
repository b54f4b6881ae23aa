/** `modules`: Sluice's router, with versions in its own bundle. */
import { modules } from "./routers.ts";

export default modules(true);
