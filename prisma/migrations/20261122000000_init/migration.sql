-- CreateTable
CREATE TABLE `users` (
    `id` VARCHAR(36) NOT NULL,
    `email` VARCHAR(320) NOT NULL,
    `name` VARCHAR(200) NULL,
    `avatar` VARCHAR(2048) NULL,
    `role` VARCHAR(16) NOT NULL DEFAULT 'USER',
    `credits` INTEGER NOT NULL DEFAULT 0,
    `heldCredits` INTEGER NOT NULL DEFAULT 0,
    `ledgerSeq` INTEGER NOT NULL DEFAULT 0,
    `entryCounts` VARCHAR(512) NOT NULL DEFAULT '{}',
    `stripeCustomerId` VARCHAR(255) NULL,
    `emailVerifiedAt` DATETIME(3) NULL,
    `authVersion` INTEGER NOT NULL DEFAULT 0,
    `disabledAt` DATETIME(3) NULL,
    `deletedAt` DATETIME(3) NULL,
    `createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `updatedAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),

    UNIQUE INDEX `users_email_key`(`email`),
    UNIQUE INDEX `users_stripeCustomerId_key`(`stripeCustomerId`),
    INDEX `users_createdAt_id_idx`(`createdAt`, `id`),
    INDEX `users_role_createdAt_id_idx`(`role`, `createdAt`, `id`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `identities` (
    `id` VARCHAR(64) NOT NULL,
    `userId` VARCHAR(36) NULL,
    `issuer` VARCHAR(255) NOT NULL,
    `subject` VARCHAR(255) NULL,
    `signupGrantedAt` DATETIME(3) NULL,
    `createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),

    INDEX `identities_userId_idx`(`userId`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `sessions` (
    `id` VARCHAR(36) NOT NULL,
    `userId` VARCHAR(36) NOT NULL,
    `refreshTokenHash` VARCHAR(64) NOT NULL,
    `previousTokenHash` VARCHAR(64) NULL,
    `generation` INTEGER NOT NULL DEFAULT 0,
    `graceEndsAt` DATETIME(3) NULL,
    `userAgent` VARCHAR(512) NULL,
    `ipAddress` VARCHAR(45) NULL,
    `createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `rotatedAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `lastUsedAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `expiresAt` DATETIME(3) NOT NULL,
    `absoluteExpiresAt` DATETIME(3) NOT NULL,
    `revokedAt` DATETIME(3) NULL,
    `revokedReason` VARCHAR(32) NULL,

    UNIQUE INDEX `sessions_refreshTokenHash_key`(`refreshTokenHash`),
    INDEX `sessions_userId_revokedAt_idx`(`userId`, `revokedAt`),
    INDEX `sessions_absoluteExpiresAt_idx`(`absoluteExpiresAt`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `credit_logs` (
    `userId` VARCHAR(36) NOT NULL,
    `seq` INTEGER NOT NULL,
    `id` VARCHAR(36) NOT NULL,
    `amount` INTEGER NOT NULL,
    `balance` INTEGER NOT NULL,
    `type` VARCHAR(20) NOT NULL,
    `feature` VARCHAR(40) NULL,
    `description` VARCHAR(500) NULL,
    `lots` MEDIUMTEXT NULL,
    `priceVersion` VARCHAR(32) NULL,
    `sourceId` VARCHAR(255) NULL,
    `metadata` TEXT NULL,
    `createdAt` DATETIME(3) NOT NULL,

    INDEX `credit_logs_userId_type_seq_idx`(`userId`, `type`, `seq`),
    PRIMARY KEY (`userId`, `seq`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `credit_grants` (
    `id` VARCHAR(36) NOT NULL,
    `userId` VARCHAR(36) NOT NULL,
    `amount` INTEGER NOT NULL,
    `remaining` INTEGER NOT NULL,
    `isOpen` BOOLEAN NOT NULL,
    `source` VARCHAR(20) NOT NULL,
    `sourceId` VARCHAR(255) NULL,
    `grantKey` VARCHAR(255) NOT NULL,
    `expiresAt` DATETIME(3) NULL,
    `createdAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `credit_grants_grantKey_key`(`grantKey`),
    INDEX `credit_grants_userId_isOpen_idx`(`userId`, `isOpen`),
    INDEX `credit_grants_isOpen_expiresAt_idx`(`isOpen`, `expiresAt`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `credit_holds` (
    `id` VARCHAR(36) NOT NULL,
    `userId` VARCHAR(36) NOT NULL,
    `amount` INTEGER NOT NULL,
    `settledAmount` INTEGER NULL,
    `status` VARCHAR(10) NOT NULL,
    `feature` VARCHAR(40) NULL,
    `priceVersion` VARCHAR(32) NULL,
    `idempotencyKey` VARCHAR(255) NULL,
    `transactionId` VARCHAR(36) NULL,
    `lots` MEDIUMTEXT NOT NULL,
    `endedBy` VARCHAR(36) NULL,
    `expiresAt` DATETIME(3) NOT NULL,
    `createdAt` DATETIME(3) NOT NULL,
    `endedAt` DATETIME(3) NULL,

    INDEX `credit_holds_userId_status_idx`(`userId`, `status`),
    INDEX `credit_holds_status_expiresAt_idx`(`status`, `expiresAt`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `idempotency_keys` (
    `userId` VARCHAR(36) NOT NULL,
    `key` VARCHAR(255) NOT NULL,
    `inputHash` VARCHAR(64) NOT NULL,
    `answer` TEXT NOT NULL,
    `createdAt` DATETIME(3) NOT NULL,

    INDEX `idempotency_keys_createdAt_idx`(`createdAt`),
    PRIMARY KEY (`userId`, `key`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `usage_logs` (
    `id` VARCHAR(36) NOT NULL,
    `userId` VARCHAR(36) NOT NULL,
    `feature` VARCHAR(40) NOT NULL,
    `model` VARCHAR(100) NULL,
    `credits` INTEGER NOT NULL,
    `durationMs` INTEGER NOT NULL DEFAULT 0,
    `success` BOOLEAN NOT NULL DEFAULT true,
    `error` VARCHAR(500) NULL,
    `createdAt` DATETIME(3) NOT NULL,

    PRIMARY KEY (`userId`, `createdAt`, `id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `credit_packages` (
    `id` VARCHAR(36) NOT NULL,
    `name` VARCHAR(100) NOT NULL,
    `credits` INTEGER NOT NULL,
    `price` INTEGER NOT NULL,
    `currency` VARCHAR(3) NOT NULL DEFAULT 'usd',
    `stripePriceId` VARCHAR(255) NULL,
    `isActive` BOOLEAN NOT NULL DEFAULT true,
    `sortOrder` INTEGER NOT NULL DEFAULT 0,
    `createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `updatedAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),

    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `plans` (
    `id` VARCHAR(36) NOT NULL,
    `tier` VARCHAR(20) NOT NULL,
    `name` VARCHAR(100) NOT NULL,
    `credits` INTEGER NOT NULL,
    `price` INTEGER NOT NULL,
    `currency` VARCHAR(3) NOT NULL DEFAULT 'usd',
    `interval` VARCHAR(10) NOT NULL,
    `stripePriceId` VARCHAR(255) NULL,
    `isActive` BOOLEAN NOT NULL DEFAULT true,
    `sortOrder` INTEGER NOT NULL DEFAULT 0,
    `createdAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `updatedAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),

    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `checkouts` (
    `id` VARCHAR(36) NOT NULL,
    `userId` VARCHAR(36) NOT NULL,
    `kind` VARCHAR(10) NOT NULL,
    `offerId` VARCHAR(36) NOT NULL,
    `credits` INTEGER NOT NULL,
    `amount` INTEGER NOT NULL,
    `currency` VARCHAR(3) NOT NULL,
    `status` VARCHAR(10) NOT NULL,
    `liveKey` VARCHAR(120) NULL,
    `stripeSessionId` VARCHAR(255) NULL,
    `url` TEXT NULL,
    `expiresAt` DATETIME(3) NOT NULL,
    `createdAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `checkouts_liveKey_key`(`liveKey`),
    UNIQUE INDEX `checkouts_stripeSessionId_key`(`stripeSessionId`),
    INDEX `checkouts_userId_createdAt_idx`(`userId`, `createdAt`),
    INDEX `checkouts_status_expiresAt_idx`(`status`, `expiresAt`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `payments` (
    `id` VARCHAR(36) NOT NULL,
    `userId` VARCHAR(36) NOT NULL,
    `stripeSessionId` VARCHAR(255) NULL,
    `stripePaymentId` VARCHAR(255) NULL,
    `stripeInvoiceId` VARCHAR(255) NULL,
    `packageId` VARCHAR(36) NULL,
    `subscriptionId` VARCHAR(36) NULL,
    `amount` INTEGER NOT NULL,
    `currency` VARCHAR(3) NOT NULL,
    `status` VARCHAR(20) NOT NULL,
    `creditsPurchased` INTEGER NOT NULL,
    `refundedAmount` INTEGER NOT NULL DEFAULT 0,
    `refundedCredits` INTEGER NOT NULL DEFAULT 0,
    `disputedCredits` INTEGER NOT NULL DEFAULT 0,
    `version` INTEGER NOT NULL DEFAULT 0,
    `createdAt` DATETIME(3) NOT NULL,
    `paidAt` DATETIME(3) NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `payments_stripeSessionId_key`(`stripeSessionId`),
    UNIQUE INDEX `payments_stripePaymentId_key`(`stripePaymentId`),
    UNIQUE INDEX `payments_stripeInvoiceId_key`(`stripeInvoiceId`),
    INDEX `payments_userId_createdAt_id_idx`(`userId`, `createdAt`, `id`),
    INDEX `payments_status_createdAt_idx`(`status`, `createdAt`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `subscriptions` (
    `id` VARCHAR(36) NOT NULL,
    `userId` VARCHAR(36) NOT NULL,
    `planId` VARCHAR(36) NOT NULL,
    `stripeSubscriptionId` VARCHAR(255) NOT NULL,
    `stripeCustomerId` VARCHAR(255) NOT NULL,
    `status` VARCHAR(30) NOT NULL,
    `liveKey` VARCHAR(36) NULL,
    `currentPeriodStart` DATETIME(3) NOT NULL,
    `currentPeriodEnd` DATETIME(3) NOT NULL,
    `cancelAtPeriodEnd` BOOLEAN NOT NULL DEFAULT false,
    `canceledAt` DATETIME(3) NULL,
    `endedAt` DATETIME(3) NULL,
    `version` INTEGER NOT NULL DEFAULT 0,
    `nextGrantAt` DATETIME(3) NULL,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL,

    UNIQUE INDEX `subscriptions_stripeSubscriptionId_key`(`stripeSubscriptionId`),
    UNIQUE INDEX `subscriptions_liveKey_key`(`liveKey`),
    INDEX `subscriptions_userId_idx`(`userId`),
    INDEX `subscriptions_nextGrantAt_idx`(`nextGrantAt`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `stripe_events` (
    `id` VARCHAR(255) NOT NULL,
    `type` VARCHAR(100) NOT NULL,
    `status` VARCHAR(12) NOT NULL,
    `objectId` VARCHAR(255) NULL,
    `payload` MEDIUMTEXT NOT NULL,
    `attempts` INTEGER NOT NULL DEFAULT 0,
    `lastError` VARCHAR(1000) NULL,
    `nextAttemptAt` DATETIME(3) NULL,
    `createdAt` DATETIME(3) NOT NULL,
    `receivedAt` DATETIME(3) NOT NULL,
    `processedAt` DATETIME(3) NULL,

    INDEX `stripe_events_status_nextAttemptAt_idx`(`status`, `nextAttemptAt`),
    INDEX `stripe_events_receivedAt_idx`(`receivedAt`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `audit_logs` (
    `id` VARCHAR(36) NOT NULL,
    `actorId` VARCHAR(36) NULL,
    `action` VARCHAR(60) NOT NULL,
    `targetType` VARCHAR(30) NOT NULL,
    `targetId` VARCHAR(255) NOT NULL,
    `reason` VARCHAR(500) NULL,
    `detail` TEXT NULL,
    `ipAddress` VARCHAR(45) NULL,
    `createdAt` DATETIME(3) NOT NULL,

    INDEX `audit_logs_targetType_targetId_createdAt_idx`(`targetType`, `targetId`, `createdAt`),
    INDEX `audit_logs_actorId_createdAt_idx`(`actorId`, `createdAt`),
    INDEX `audit_logs_createdAt_idx`(`createdAt`),
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- CreateTable
CREATE TABLE `job_leases` (
    `name` VARCHAR(60) NOT NULL,
    `holder` VARCHAR(60) NULL,
    `expiresAt` DATETIME(3) NOT NULL,
    `lastRunAt` DATETIME(3) NULL,
    `lastOutcome` TEXT NULL,

    PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
