import { createServer } from 'node:http';
import { crc32 } from 'node:zlib';

/** Takes uploads and answers the CRC-32 of what came, as a decimal number. */
const server = createServer((request, response) => {
  let sum = 0;
  request.on('data', (part: Buffer) => {
    sum = crc32(part, sum);
  });
  request.on('end', () => {
    const text = String(sum);
    response.writeHead(200, { 'content-length': text.length });
    response.end(text);
  });
});
server.keepAliveTimeout = 600_000;
server.requestTimeout = 0;
server.listen(Number(process.argv[2]), '127.0.0.1');
