// The demo: the whole story through the typed client against a freshly started server, as a readable transcript.
// Being written right now by the helper "demo" (server/cli/demo*.ts); its content follows within minutes.
process.stdout.write("The demo is being written.\n");
process.exitCode = 1;
