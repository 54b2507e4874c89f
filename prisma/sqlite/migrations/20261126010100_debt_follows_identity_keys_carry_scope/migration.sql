-- CreateTable
CREATE TABLE "former_accounts" (
    "identityId" TEXT NOT NULL,
    "erasedUserId" TEXT NOT NULL,

    PRIMARY KEY ("identityId", "erasedUserId")
);

-- Accounts deleted before: the welcome credits still say which one an identity had.
INSERT OR IGNORE INTO "former_accounts" ("identityId", "erasedUserId")
SELECT i."id", g."userId" FROM "identities" i
JOIN "credit_grants" g ON g."grantKey" = 'signup:' || i."id"
JOIN "users" u ON u."id" = g."userId" AND u."deletedAt" IS NOT NULL;

-- Keys of administrators had no scope: they get theirs. The entry under the answer tells whose a key is.
UPDATE OR IGNORE "idempotency_keys" SET "key" = 'admin:' || "key"
WHERE "key" NOT LIKE 'admin:%' AND EXISTS (
  SELECT 1 FROM "credit_logs" l
  WHERE l."userId" = "idempotency_keys"."userId"
    AND l."seq" = json_extract("idempotency_keys"."answer", '$.q')
    AND l."id" = json_extract("idempotency_keys"."answer", '$.t')
    AND l."type" = 'ADMIN_ADJUST'
);
