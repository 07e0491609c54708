import { readFileSync } from 'node:fs';
import replyFrom from '@fastify/reply-from';
import Fastify from 'fastify';

const [, , port = '', backend = '', certificate = '', key = '', count = ''] = process.argv;
const HOUR_MS = 3_600_000;
const sessions = new Map(Array.from({ length: Number(count) }, (_, i) => [`session-${i}`, Date.now() + HOUR_MS]));

/** What one would write with fastify and its proxy plugin: TLS, a look at the session, and on to the backend. */
const server = Fastify({ https: { cert: readFileSync(certificate), key: readFileSync(key) } });
await server.register(replyFrom, { base: backend });
server.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
server.all('/*', (request, reply) => {
  const token = request.headers.authorization?.slice('Bearer '.length) ?? '';
  if ((sessions.get(token) ?? 0) <= Date.now()) return reply.code(401).send();
  return reply.from(request.url);
});
await server.listen({ port: Number(port), host: '127.0.0.1' });
