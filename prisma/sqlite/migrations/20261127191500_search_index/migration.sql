-- CreateIndex
CREATE INDEX "users_createdAt_id_email_name_idx" ON "users"("createdAt", "id", "email", "name");
