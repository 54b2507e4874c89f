-- CreateIndex
CREATE INDEX "users_deletedAt_disabledAt_idx" ON "users"("deletedAt", "disabledAt");

-- CreateIndex
CREATE INDEX "credit_logs_createdAt_type_amount_idx" ON "credit_logs"("createdAt", "type", "amount");

-- CreateIndex
CREATE INDEX "stripe_events_status_receivedAt_idx" ON "stripe_events"("status", "receivedAt");
