/** `modules` without counting. */
import { modules } from "./routers.ts";

export default modules(false);
