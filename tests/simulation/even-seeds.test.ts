// Promise 16 for the even seeds: no broken invariant.
import { testSeeds } from "./seeds.ts";

testSeeds("even");
