import Fastify, { type FastifyError } from 'fastify';
import { expect, test } from 'vitest';
import { validationWords } from '../src/validation.ts';

const CHOICE = { anyOf: [{ const: 'done' }, { const: 'refused' }] };

test.each([
  ['one of several words', { outcome: CHOICE }, 'outcome in the query: expected one of done, refused'],
  ['one word alone', { outcome: { const: 'done' } }, 'outcome in the query: expected done'],
])('a value that is not %s is answered with what it may be', async (_, properties, words) => {
  const app = Fastify({ ajv: { customOptions: { verbose: true } } });
  app.setErrorHandler<FastifyError>((error, _request, reply) => reply.code(400).send(validationWords(error)));
  app.get('/', { schema: { querystring: { type: 'object', properties } } }, () => 'fine');
  expect((await app.inject('/?outcome=maybe')).body).toBe(words);
  await app.close();
});
