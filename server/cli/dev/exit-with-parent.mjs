// Ends a child of `npm run dev` when its parent is gone, however that ended. Plain JavaScript, because Vite is started
// without tsx.
process.once("disconnect", () => {
  process.kill(process.pid, "SIGTERM");
});
// Listening must not keep a child alive that has nothing else to do.
process.channel?.unref();
