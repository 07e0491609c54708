import { EventEmitter } from 'node:events';
import { type ClientHttp2Session, constants } from 'node:http2';
import { expect, test } from 'vitest';
import type { ConnectionSink } from '../src/backend/connection.ts';
import { Http2Lane, type LaneOwner } from '../src/backend/http2-lane.ts';
import { TIME_LIMITS } from '../src/backend/time-limits.ts';

/** A stream of HTTP/2 that notes how it is closed. */
class Stream extends EventEmitter {
  readonly closes: number[] = [];
  readonly writableLength = 0;
  closed = false;

  close(code: number): void {
    this.closed = true;
    this.closes.push(code);
  }
}

/** A lane on which the head of a request with content is out. */
function uploading(over: Partial<ConnectionSink> = {}) {
  const stream = new Stream();
  const ends: string[] = [];
  const home: LaneOwner = {
    owner: {
      released: () => undefined,
      gone: () => undefined,
      spend: () => 0,
      handlerFailed: (error) => void ends.push(String(error)),
    },
    scheme: 'http',
    session: { request: () => stream, closed: false } as unknown as ClientHttp2Session,
    lastStream: undefined,
    leave: () => undefined,
    gaveUp: () => undefined,
    doubt: () => undefined,
  };
  const sink: ConnectionSink = {
    begun() {},
    room() {},
    pushed() {},
    head() {},
    body() {},
    end: () => void ends.push('whole'),
    failed: ({ code }) => void ends.push(code),
    ...over,
  };
  const lane = new Http2Lane(home, TIME_LIMITS);
  lane.begin({ method: 'PUT', path: '/', authority: 'wiki.corp', fields: [], content: 'chunked', last: false }, sink);
  return { lane, stream, ends };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// Node writes without end when a stream that may have trailers is closed while bytes of its session are read.
test('an answer before the end of its request closes the stream behind the event, never in it', async () => {
  const { stream, ends } = uploading();
  stream.emit('response', { ':status': 413 }, 0, []);
  stream.emit('end');
  expect([stream.closes, ends]).toEqual([[], ['whole']]);
  await turn();
  expect(stream.closes).toEqual([constants.NGHTTP2_NO_ERROR]);
});

test('an exchange that is given up over its answer closes the stream behind the event, never in it', async () => {
  const { lane, stream, ends } = uploading({ head: () => lane.abort() });
  stream.emit('response', { ':status': 200 }, 0, []);
  expect([stream.closes, ends]).toEqual([[], ['ERR_BACKEND_ABORTED']]);
  await turn();
  expect(stream.closes).toEqual([constants.NGHTTP2_CANCEL]);
});
