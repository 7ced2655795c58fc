// {{name}}: an HTTP server for Node.js, without dependencies.
//
// Serves on the Unix socket $GAPLESS_SOCKET if that is set, else on
// 127.0.0.1:$PORT. To try it alone: PORT=3000 node server.js
'use strict';

const http = require('node:http');

const server = http.createServer((request, response) => {
  response.setHeader('content-type', 'text/plain');
  if (request.method === 'POST') {
    // The body goes back as it comes.
    request.pipe(response);
    return;
  }
  response.end('Hello from {{name}}\n');
});

// The platform keeps connections open between requests.
server.keepAliveTimeout = 75_000;

const { GAPLESS_SOCKET: socket, PORT: port } = process.env;
if (socket) {
  server.listen(socket);
} else if (port) {
  server.listen(Number(port), '127.0.0.1');
} else {
  console.error('set GAPLESS_SOCKET to a path, or PORT to a port number');
  process.exit(2);
}

// Ends after the requests that it has begun.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
