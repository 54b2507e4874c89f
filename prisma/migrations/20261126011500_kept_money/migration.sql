-- AlterTable
ALTER TABLE `payments`
    ADD COLUMN `total` INTEGER NULL,
    ADD COLUMN `creditedAmount` INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN `disputedAmount` INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN `creditsWorth` INTEGER NULL,
    ADD COLUMN `invoiceLines` MEDIUMTEXT NULL;

-- AlterTable
ALTER TABLE `subscriptions`
    ADD COLUMN `quantity` INTEGER NOT NULL DEFAULT 1,
    ADD COLUMN `cancelAt` DATETIME(3) NULL,
    ADD COLUMN `pendingPlanId` VARCHAR(36) NULL,
    ADD COLUMN `pendingPlanAt` DATETIME(3) NULL,
    ADD COLUMN `stripeScheduleId` VARCHAR(255) NULL,
    ADD COLUMN `returnedCredits` INTEGER NOT NULL DEFAULT 0;
