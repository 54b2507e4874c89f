-- AlterTable
ALTER TABLE "users" ADD COLUMN "rolledSeq" INTEGER NOT NULL DEFAULT 0;

-- CreateTable
CREATE TABLE "credit_totals" (
    "quarter" INTEGER NOT NULL,
    "type" TEXT NOT NULL,
    "given" BIGINT NOT NULL,
    "taken" BIGINT NOT NULL,

    PRIMARY KEY ("quarter", "type")
);

-- CreateTable
CREATE TABLE "usage_totals" (
    "userId" TEXT NOT NULL,
    "quarter" INTEGER NOT NULL,
    "feature" TEXT NOT NULL,
    "credits" BIGINT NOT NULL,
    "calls" INTEGER NOT NULL,
    "firstAt" DATETIME NOT NULL,

    PRIMARY KEY ("userId", "quarter", "feature")
);

-- CreateTable
CREATE TABLE "roll_ups" (
    "name" TEXT NOT NULL PRIMARY KEY,
    "rolledTo" DATETIME NOT NULL
);

-- DropIndex
DROP INDEX "credit_logs_createdAt_type_amount_idx";

-- Nothing is rolled up yet.
INSERT INTO "roll_ups" ("name", "rolledTo") VALUES ('credits', '1970-01-01T00:00:00.000+00:00'), ('usage', '1970-01-01T00:00:00.000+00:00');
