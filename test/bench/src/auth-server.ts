import { createServer } from 'node:http';

/**
 * The auth server of the peers: says for each token whether its session lives. Sessions stand in memory, as in a small
 * session service; a database behind it would only cost the peers more.
 */
const sessions = new Map<string, number>();
const HOUR_MS = 3_600_000;
for (let i = 0; i < Number(process.argv[3]); i++) sessions.set(`session-${i}`, Date.now() + HOUR_MS);

const server = createServer((request, response) => {
  const token = request.headers.authorization?.slice('Bearer '.length) ?? '';
  const live = (sessions.get(token) ?? 0) > Date.now();
  response.writeHead(live ? 204 : 401);
  response.end();
});
server.keepAliveTimeout = 600_000;
server.listen(Number(process.argv[2]), '127.0.0.1');
