-- CreateTable
CREATE TABLE "credit_movements" (
    "createdAt" DATETIME NOT NULL,
    "id" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "given" BIGINT NOT NULL,
    "taken" BIGINT NOT NULL,

    PRIMARY KEY ("createdAt", "id")
);
