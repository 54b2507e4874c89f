-- AlterTable
ALTER TABLE `users` ADD COLUMN `rolledSeq` INTEGER NOT NULL DEFAULT 0;

-- CreateTable
CREATE TABLE `credit_totals` (
    `quarter` INTEGER NOT NULL,
    `type` VARCHAR(20) NOT NULL,
    `given` BIGINT NOT NULL,
    `taken` BIGINT NOT NULL,

    PRIMARY KEY (`quarter`, `type`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `usage_totals` (
    `userId` VARCHAR(36) NOT NULL,
    `quarter` INTEGER NOT NULL,
    `feature` VARCHAR(40) NOT NULL,
    `credits` BIGINT NOT NULL,
    `calls` INTEGER NOT NULL,
    `firstAt` DATETIME(3) NOT NULL,

    PRIMARY KEY (`userId`, `quarter`, `feature`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `roll_ups` (
    `name` VARCHAR(60) NOT NULL,
    `rolledTo` DATETIME(3) NOT NULL,

    PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- DropIndex
DROP INDEX `credit_logs_createdAt_type_amount_idx` ON `credit_logs`;

-- Nothing is rolled up yet.
INSERT INTO `roll_ups` (`name`, `rolledTo`) VALUES ('credits', '1970-01-01 00:00:00.000'), ('usage', '1970-01-01 00:00:00.000');
