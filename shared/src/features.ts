// The features that cost credits: one table, from which environment, prices, contract and frontend are derived.
// To add a paid feature, start here (docs/guides/add-a-feature.md).
import { z } from "zod";

/** What is shared about a feature: how users see it and which environment variable sets its price. */
export interface FeatureDefinition {
  /** Its name for people, as on a button. */
  readonly label: string;
  /** One sentence for people. */
  readonly description: string;
  /** The environment variable that sets its price in credits. */
  readonly priceVariable: string;
  readonly defaultPriceCredits: number;
}

/** Every feature that costs credits, by its name on the wire. */
export const FEATURE_TABLE = {
  "chat-flash": {
    label: "Quick chat",
    description: "A fast answer to a question.",
    priceVariable: "CHAT_COST_FLASH",
    defaultPriceCredits: 1,
  },
  "chat-pro": {
    label: "Pro chat",
    description: "A thorough answer by the stronger model.",
    priceVariable: "CHAT_COST_PRO",
    defaultPriceCredits: 5,
  },
  "ppt-generate": {
    label: "Slides",
    description: "A slide deck from a topic.",
    priceVariable: "PPT_GENERATE_COST",
    defaultPriceCredits: 10,
  },
  "ppt-edit": {
    label: "Edit slides",
    description: "Changes a deck the way you describe.",
    priceVariable: "PPT_EDIT_COST",
    defaultPriceCredits: 5,
  },
} as const satisfies Record<string, FeatureDefinition>;

/** A feature that costs credits. */
export type Feature = keyof typeof FEATURE_TABLE;

/** The names of all features, in the table's order. */
export const FEATURES = Object.keys(FEATURE_TABLE) as [Feature, ...Feature[]];

/** One of FEATURES. */
// Marked pure so that a frontend that reads only the table does not bundle the schema library.
export const feature = /* @__PURE__ */ z.enum(FEATURES);
