-- AlterTable
ALTER TABLE `usage_logs` ADD COLUMN `inputTokens` INTEGER NULL,
    ADD COLUMN `outputTokens` INTEGER NULL;

-- CreateTable
CREATE TABLE `ai_runs` (
    `id` VARCHAR(36) NOT NULL,
    `userId` VARCHAR(36) NOT NULL,
    `feature` VARCHAR(40) NOT NULL,
    `inputHash` VARCHAR(64) NOT NULL,
    `holdId` VARCHAR(36) NOT NULL,
    `heldCredits` INTEGER NOT NULL,
    `state` VARCHAR(10) NOT NULL,
    `producedCredits` INTEGER NOT NULL DEFAULT 0,
    `charged` INTEGER NOT NULL DEFAULT 0,
    `balance` INTEGER NULL,
    `code` VARCHAR(40) NULL,
    `model` VARCHAR(100) NULL,
    `lastSeq` INTEGER NULL,
    `stopRequestedAt` DATETIME(3) NULL,
    `leaseExpiresAt` DATETIME(3) NOT NULL,
    `createdAt` DATETIME(3) NOT NULL,
    `endedAt` DATETIME(3) NULL,

    INDEX `ai_runs_state_leaseExpiresAt_idx`(`state`, `leaseExpiresAt`),
    INDEX `ai_runs_userId_createdAt_idx`(`userId`, `createdAt`),
    INDEX `ai_runs_endedAt_idx`(`endedAt`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
