// As backend.ts, for files to which one back end of each kind is enough: vitest.config.ts looks for who imports it.
import { available as ofProject } from "./backend.ts";

export const available = ofProject;
