-- CreateTable
CREATE TABLE `credit_movements` (
    `createdAt` DATETIME(3) NOT NULL,
    `id` VARCHAR(36) NOT NULL,
    `type` VARCHAR(20) NOT NULL,
    `given` BIGINT NOT NULL,
    `taken` BIGINT NOT NULL,

    PRIMARY KEY (`createdAt`, `id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
