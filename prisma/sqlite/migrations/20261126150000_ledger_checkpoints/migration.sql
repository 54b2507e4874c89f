-- CreateTable
CREATE TABLE "ledger_checkpoints" (
    "userId" TEXT NOT NULL PRIMARY KEY,
    "seq" INTEGER NOT NULL,
    "balance" INTEGER NOT NULL,
    "charges" INTEGER NOT NULL,
    "endedHolds" INTEGER NOT NULL,
    "provenAt" DATETIME NOT NULL,
    "wholeAt" DATETIME NOT NULL
);
