-- AlterTable
ALTER TABLE "usage_logs" ADD COLUMN "inputTokens" INTEGER;

-- AlterTable
ALTER TABLE "usage_logs" ADD COLUMN "outputTokens" INTEGER;

-- CreateTable
CREATE TABLE "ai_runs" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "userId" TEXT NOT NULL,
    "feature" TEXT NOT NULL,
    "inputHash" TEXT NOT NULL,
    "holdId" TEXT NOT NULL,
    "heldCredits" INTEGER NOT NULL,
    "state" TEXT NOT NULL,
    "producedCredits" INTEGER NOT NULL DEFAULT 0,
    "charged" INTEGER NOT NULL DEFAULT 0,
    "balance" INTEGER,
    "code" TEXT,
    "model" TEXT,
    "lastSeq" INTEGER,
    "stopRequestedAt" DATETIME,
    "leaseExpiresAt" DATETIME NOT NULL,
    "createdAt" DATETIME NOT NULL,
    "endedAt" DATETIME
);

-- CreateIndex
CREATE INDEX "ai_runs_state_leaseExpiresAt_idx" ON "ai_runs"("state", "leaseExpiresAt");

-- CreateIndex
CREATE INDEX "ai_runs_userId_createdAt_idx" ON "ai_runs"("userId", "createdAt");

-- CreateIndex
CREATE INDEX "ai_runs_endedAt_idx" ON "ai_runs"("endedAt");
