// Runs PHP code with PHP 7.2, which is compiled to WebAssembly. Its sockets are WebSockets: whatever
// it sends by TCP goes on from here.
//
//     node run.mjs DIRECTORY CODE [FILE…]
//
// The directory is where `npm install @php-wasm/node-7-2` was; PHP sees these files, and no others.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { dirname, resolve } from "node:path";

const [directory, code, ...files] = process.argv.slice(2);
const require = createRequire(resolve(directory, "package.json"));
const { loadPHPRuntime, PHP } = require("@php-wasm/universal");
const { getPHPLoaderModule } = require("@php-wasm/node-7-2");
const { WebSocketServer } = require("ws");

const proxy = new WebSocketServer({ host: "127.0.0.1", port: 0 });
proxy.on("connection", (inner, request) => {
  const query = new URL(request.url, "ws://localhost").searchParams;
  const outer = connect(query.get("port"), query.get("host"));
  inner.on("message", (bytes) => outer.write(bytes));
  inner.on("close", () => outer.destroy());
  outer.on("data", (bytes) => inner.send(bytes));
  outer.on("close", () => inner.close());
  outer.on("error", () => {});
});

const runtime = await loadPHPRuntime(await getPHPLoaderModule(), {
  ENV: process.env,
  websocket: {
    url: (_, host, port) => `ws://127.0.0.1:${proxy.address().port}/?host=${host}&port=${port}`,
    subprotocol: "binary",
    decorator: (WebSocket) => class extends WebSocket { setSocketOpt() {} },
  },
});
const php = new PHP(runtime);
for (const file of files) {
  php.mkdirTree(dirname(file));
  php.writeFile(file, readFileSync(file));
}
const response = await php.cli(["php", "-n", "-d", "display_errors=stderr", "-d", "error_reporting=-1", "-r", code]);
process.stdout.write(await response.stdoutText);
process.stderr.write(await response.stderrText);
process.exit(await response.exitCode);
