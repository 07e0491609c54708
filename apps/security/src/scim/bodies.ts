import { Transform } from 'node:stream';
import { isObject, Pace, parseJsonInTurns, ScimError, type ScimObject } from '@sallyport/directory';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { SCIM_TYPE, ScimBusyError, ScimStatusError } from './errors.ts';

/** Largest body about a user, bytes. */
export const USER_BODY_BYTES = 256 * 1024;
/** Largest body about a group, bytes: a hundred thousand members with name, type and reference of each. */
export const GROUP_BODY_BYTES = 32 * 1024 * 1024;
/** A larger body is parsed in turns and counts as large, bytes. */
const LARGE_BYTES = 64 * 1024;
/** Large bodies that a node holds at a time; each costs some ten times its bytes. */
const MAX_LARGE_BYTES = 2 * GROUP_BODY_BYTES;

/** What a body of unknown length takes at a time, bytes. */
const SHARE_BYTES = 1024 * 1024;
const TOO_MANY = 'too many large requests at once; try again';

/** Bytes of large bodies that are being worked on by this node. */
class LargeBodies {
  #bytes = 0;

  take(bytes: number): boolean {
    if (this.#bytes + bytes > MAX_LARGE_BYTES) return false;
    this.#bytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** Reads bodies as SCIM clients send them: with or without a type, empty where there is none, and very large for groups. */
export function addBodyParsers(service: FastifyInstance): void {
  const large = new LargeBodies();
  service.addHook('onRequest', async (request, reply) => {
    const declared = Number(request.headers['content-length'] ?? 0);
    if (!(declared > LARGE_BYTES)) return;
    if (!large.take(declared)) throw new ScimBusyError(TOO_MANY);
    reply.raw.once('close', () => large.giveBack(declared));
  });
  service.addHook('preParsing', async (request, reply, payload) => {
    if (request.headers['transfer-encoding'] === undefined) return payload;
    const { counted, taken } = countedBody(large);
    reply.raw.once('close', () => large.giveBack(taken()));
    // Not a pipeline: that would cut the connection, and with it the answer.
    payload.once('error', (error: Error) => counted.destroy(error));
    payload.once('close', () => {
      if (!payload.readableEnded) counted.destroy(new ScimStatusError(400, 'the body was cut off'));
    });
    counted.once('error', () => payload.resume());
    return payload.pipe(counted);
  });
  const parseAs = { parseAs: 'buffer' } as const;
  service.removeContentTypeParser('application/json');
  service.addContentTypeParser(['application/json', SCIM_TYPE], parseAs, (request: FastifyRequest, body: unknown) =>
    parseBody(request, body as Buffer),
  );
  service.addContentTypeParser('*', parseAs, async (request: FastifyRequest, body: unknown) => {
    if ((body as Buffer).length === 0 || request.method === 'DELETE') return undefined;
    throw new ScimStatusError(415, `a body is ${SCIM_TYPE}`);
  });
}

/** A body that does not say how long it is: it takes its share as it comes. */
function countedBody(large: LargeBodies): { counted: Transform; taken: () => number } {
  let [bytes, taken] = [0, LARGE_BYTES];
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      while (taken < bytes) {
        if (!large.take(SHARE_BYTES)) return done(new ScimBusyError(TOO_MANY));
        taken += SHARE_BYTES;
      }
      done(null, chunk);
    },
  });
  return { counted, taken: () => taken - LARGE_BYTES };
}

/** What a DELETE carries means nothing (RFC 9110, section 9.3.5). */
async function parseBody({ method }: FastifyRequest, body: Buffer): Promise<unknown> {
  if (body.length === 0 || method === 'DELETE') return undefined;
  const pace = new Pace();
  return parseJsonInTurns(await decodeInTurns(body, pace), pace);
}

/** Bytes that are decoded in one turn. */
const DECODED_BYTES = 1024 * 1024;

/** The text of a body (RFC 8259, section 8.1: a byte order mark is passed over), in turns. */
async function decodeInTurns(body: Buffer, pace: Pace): Promise<string> {
  const decoder = new TextDecoder('utf-8');
  const parts: string[] = [];
  for (let at = 0; at < body.length; at += DECODED_BYTES) {
    parts.push(decoder.decode(body.subarray(at, at + DECODED_BYTES), { stream: true }));
    if (at > 0) await pace.rest();
  }
  parts.push(decoder.decode());
  return parts.join('');
}

/** The body of a request. @throws ScimError when it is no object */
export function bodyOf({ body }: FastifyRequest): ScimObject {
  if (!isObject(body)) throw new ScimError('invalidSyntax', 'a JSON object is expected');
  return body;
}
