ALTER TABLE "users" ADD COLUMN "addressTakenAt" DATETIME;
