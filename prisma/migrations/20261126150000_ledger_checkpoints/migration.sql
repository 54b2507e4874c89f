-- CreateTable
CREATE TABLE `ledger_checkpoints` (
    `userId` VARCHAR(36) NOT NULL,
    `seq` INTEGER NOT NULL,
    `balance` INTEGER NOT NULL,
    `charges` INTEGER NOT NULL,
    `endedHolds` INTEGER NOT NULL,
    `provenAt` DATETIME(3) NOT NULL,
    `wholeAt` DATETIME(3) NOT NULL,

    PRIMARY KEY (`userId`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
