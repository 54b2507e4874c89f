-- CreateTable
CREATE TABLE `former_accounts` (
    `identityId` VARCHAR(64) NOT NULL,
    `erasedUserId` VARCHAR(36) NOT NULL,

    PRIMARY KEY (`identityId`, `erasedUserId`)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Accounts deleted before: the welcome credits still say which one an identity had.
INSERT IGNORE INTO `former_accounts` (`identityId`, `erasedUserId`)
SELECT i.`id`, g.`userId` FROM `identities` i
JOIN `credit_grants` g ON g.`grantKey` = CONCAT('signup:', i.`id`)
JOIN `users` u ON u.`id` = g.`userId` AND u.`deletedAt` IS NOT NULL;

-- Keys of administrators had no scope: they get theirs. The entry under the answer tells whose a key is.
UPDATE IGNORE `idempotency_keys` SET `key` = CONCAT('admin:', `key`)
WHERE `key` NOT LIKE 'admin:%' AND EXISTS (
  SELECT 1 FROM `credit_logs` l
  WHERE l.`userId` = `idempotency_keys`.`userId`
    AND l.`seq` = CAST(JSON_UNQUOTE(JSON_EXTRACT(`idempotency_keys`.`answer`, '$.q')) AS UNSIGNED)
    AND l.`id` = JSON_UNQUOTE(JSON_EXTRACT(`idempotency_keys`.`answer`, '$.t'))
    AND l.`type` = 'ADMIN_ADJUST'
);
