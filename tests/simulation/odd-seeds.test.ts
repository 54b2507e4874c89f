// Promise 16 for the odd seeds: no broken invariant.
import { testSeeds } from "./seeds.ts";

testSeeds("odd");
