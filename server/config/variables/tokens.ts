// The environment variables of access and refresh tokens.
import { z } from "zod";
import { checkTokenSecrets } from "../checks.ts";
import { durationSeconds, list } from "../fields.ts";
import { defineGroup } from "../variable.ts";

const secretList = z.string().transform(list).default([]);

export const TOKENS = defineGroup(
  "Tokens (development makes its own and keeps them in .data/secrets.json)",
  {
    JWT_SECRET: {
      schema: secretList,
      description:
        "Signs access tokens: 32 bytes or more, made by `openssl rand -base64 48`. A comma list rotates: the first signs, all verify. With several instances: `old,new` on all, then `new,old` on all, then `new`.",
      example: "",
      required: true,
      howToGet: "set it to the output of `openssl rand -base64 48`",
      secrets: list,
      check: checkTokenSecrets,
    },
    JWT_EXPIRES_IN: {
      schema: durationSeconds(1, 86_400),
      default: "15m",
      description: "Life of an access token.",
    },
    REFRESH_TOKEN_SECRET: {
      schema: secretList,
      description: "Protects refresh tokens; same rules, another value.",
      example: "",
      required: true,
      howToGet: "set it to the output of `openssl rand -base64 48`, another one than JWT_SECRET",
      secrets: list,
      check: checkTokenSecrets,
    },
    REFRESH_TOKEN_EXPIRES_IN: {
      schema: durationSeconds(1, 400 * 86_400),
      default: "7d",
      description: "How long a sign-in lives without being used.",
    },
    SESSION_MAX_AGE: {
      schema: durationSeconds(1, 400 * 86_400),
      default: "30d",
      description: "How long a sign-in lives at most, used or not.",
    },
  },
);
