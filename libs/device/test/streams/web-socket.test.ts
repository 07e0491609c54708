import {
  DEFAULT_LIMITS,
  decodeWsClose,
  encodeResponseHead,
  encodeText,
  encodeWsClose,
  encodeWsMessage,
  encodeWsPiece,
  type Field,
  type RequestHead,
  requestDecoder,
  type StreamSink,
  WsMessageDecoder,
} from '@sallyport/channel';
import { expect, test } from 'vitest';
import { sentBy, testStream } from '../../../channel/test/lone-stream.ts';
import type { CallResponse } from '../../src/streams/http-call.ts';
import { DeviceWebSocket, type WebSocketOptions } from '../../src/streams/web-socket.ts';

/** A WebSocket whose gateway is the test. */
async function asked(options: WebSocketOptions = {}, url = 'ws://wiki.corp/chat?a=1') {
  const place = testStream(2, { window: 1_048_576 });
  const channel = {
    expect: () => () => undefined,
    openStream: async (_kind: number, sink: StreamSink) => {
      place.stream.sink = sink;
      return place.stream;
    },
  };
  const socket = new DeviceWebSocket(async () => channel, url, options);
  const heard: unknown[] = [];
  socket.onopen = () => void heard.push('open');
  socket.onmessage = ({ data }) => void heard.push(typeof data === 'string' ? data : data.byteLength);
  socket.onclose = ({ code, reason, wasClean }) => void heard.push([code, reason, wasClean]);
  await new Promise((resolve) => setImmediate(resolve));
  let head: RequestHead | undefined;
  const said: { opcode: number; bytes: Uint8Array }[] = [];
  const messages = new WsMessageDecoder();
  const decoder = requestDecoder(
    {
      head: (of) => {
        head = of;
      },
      content: (bytes) => void said.push(...messages.push(bytes)),
      trailers: () => undefined,
    },
    'raw',
  );
  const read = () => {
    decoder.push(sentBy(place.stream));
    return { head, said };
  };
  const tell = (bytes: Uint8Array): void => place.stream.receive(bytes, false);
  const accept = (fields: Field[] = []): void => tell(encodeResponseHead({ status: 200, fields }));
  const { stream, resets, released } = place;
  return { socket, heard, read, tell, accept, stream, released, resets: () => resets.map(({ code }) => code) };
}

test('a handshake has the fields that the app says, several of one name too, and the answer has its own', async () => {
  const headers: [string, string][] = [
    ['Cookie', 'a=1'],
    ['cookie', 'b=2'],
    ['Origin', 'http://wiki.corp'],
  ];
  const { socket, read, accept, heard } = await asked({ headers, protocols: ['chat', 'other'] });
  expect(read().head).toEqual({
    method: 'GET',
    scheme: 'http',
    authority: 'wiki.corp',
    path: '/chat?a=1',
    fields: [
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
      ['origin', 'http://wiki.corp'],
      ['sec-websocket-protocol', 'chat, other'],
    ],
  });
  const fields: Field[] = [
    ['set-cookie', 'c=3'],
    ['set-cookie', 'd=4'],
    ['sec-websocket-protocol', 'other'],
  ];
  accept(fields);
  expect([heard, socket.protocol, socket.status, socket.fields]).toEqual([['open'], 'other', 200, fields]);
});

test('a path goes out byte by byte when it is given, and headers may be an object', async () => {
  const { read } = await asked({ headers: { 'X-Own': 'yes' }, path: '/a`b?c' }, 'wss://wiki.corp/');
  expect(read().head).toMatchObject({ scheme: 'https', path: '/a`b?c', fields: [['x-own', 'yes']] });
});

test.each([
  [{ 'sec-websocket-key': 'x' }],
  [{ 'Sec-WebSocket-Protocol': 'x' }],
  [{ connection: 'upgrade' }],
  [{ host: 'other.corp' }],
  [{ 'content-length': '1' }],
  [{ 'x y': '1' }],
  [{ x: 'a\nb' }],
])("fields that are not the app's to say are refused before anything is sent: %j", async (headers) => {
  const { socket, heard, read } = await asked({ headers: headers as unknown as Record<string, string> });
  expect([socket.failure?.code, heard]).toEqual(['BAD_REQUEST', [[1006, 'BAD_REQUEST', false]]]);
  expect(read().head).toBeUndefined();
});

test('a refusal is told by its status; whoever wants it gets its fields and content, too', async () => {
  const plain = await asked();
  plain.tell(encodeResponseHead({ status: 403, fields: [['x', 'y']] }));
  expect([plain.socket.status, plain.heard]).toEqual([403, [[1006, 'the server answered 403', false]]]);
  expect(plain.resets()).toEqual(['CANCELLED']);
  let response: CallResponse | undefined;
  const taken = await asked({
    refused: (of) => {
      response = of;
    },
  });
  taken.tell(encodeResponseHead({ status: 401, fields: [['www-authenticate', 'Basic']] }));
  const long = 'x'.repeat(100_000);
  taken.tell(encodeText(long));
  taken.stream.receive(new Uint8Array(0), true);
  expect([response?.status, response?.fields]).toEqual([401, [['www-authenticate', 'Basic']]]);
  expect(await new Response(response!.body).text()).toBe(long);
  expect([taken.resets(), taken.heard]).toEqual([[], [[1006, 'the server answered 401', false]]]);
});

test('a refusal that is cut is an error for who reads it', async () => {
  let body: ReadableStream<Uint8Array> | undefined;
  const { tell, stream } = await asked({
    refused: (response) => {
      body = response.body;
    },
  });
  tell(encodeResponseHead({ status: 500, fields: [] }));
  tell(encodeText('half'));
  stream.abort(68);
  await expect(new Response(body!).text()).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
});

test('messages of any size go out in pieces and come in whole; text is text', async () => {
  const { socket, accept, read, tell, heard } = await asked();
  accept();
  socket.send('hé');
  socket.send(new Uint8Array(200_000).fill(3));
  const { said } = read();
  expect(said.map(({ opcode, bytes }) => [opcode, bytes.length])).toEqual([
    [1, 3],
    [2, 200_000],
  ]);
  tell(encodeWsPiece({ opcode: 1, more: true, bytes: Uint8Array.of(0x68, 0xc3) }));
  tell(encodeWsPiece({ opcode: 0, more: false, bytes: Uint8Array.of(0xa9) }));
  const large = encodeWsMessage({ opcode: 2, bytes: new Uint8Array(150_000) });
  for (let at = 0; at < large.length; at += 50_000) tell(large.subarray(at, at + 50_000));
  expect(heard).toEqual(['open', 'hé', 150_000]);
});

test('a message that is longer than the app wants closes with 1009', async () => {
  const { accept, tell, heard, resets } = await asked({ maxMessageBytes: 10 });
  accept();
  tell(encodeWsMessage({ opcode: 2, bytes: new Uint8Array(11) }));
  expect(heard).toEqual(['open', [1006, 'a message has more than 10 bytes', false]]);
  expect(resets()).toEqual(['CANCELLED']);
});

test('text that is not UTF-8 is no message', async () => {
  const { accept, tell, heard } = await asked();
  accept();
  tell(encodeWsMessage({ opcode: 1, bytes: Uint8Array.of(0xc3) }));
  expect(heard).toEqual(['open', [1006, 'the peer sent something malformed', false]]);
});

test('while it is paused nothing is told, the gateway gets no credit, and the close comes behind what was said before', async () => {
  const { socket, accept, tell, heard, released, stream } = await asked();
  accept();
  socket.pause();
  const before = released();
  for (const text of ['one', 'two']) tell(encodeWsMessage({ opcode: 1, bytes: encodeText(text) }));
  tell(encodeWsClose({ code: 4001, reason: 'why' }));
  stream.receive(new Uint8Array(0), true);
  expect([heard, released()]).toEqual([['open'], before]);
  socket.resume();
  expect(heard).toEqual(['open', 'one', 'two', [4001, 'why', true]]);
  expect(released()).toBeGreaterThan(before);
});

test('who sends more than leaves sees it, and hears when there is room again', async () => {
  const { socket, accept, read } = await asked();
  accept();
  let drains = 0;
  socket.addEventListener('drain', () => {
    drains += 1;
  });
  socket.send(new Uint8Array(DEFAULT_LIMITS.streamWindowBytes));
  expect(socket.bufferedAmount).toBeGreaterThan(200_000);
  read();
  expect([socket.bufferedAmount, drains]).toEqual([0, 1]);
});

test('a ping reaches the server, and its pong is told', async () => {
  const { socket, accept, read, tell } = await asked();
  accept();
  const pongs: string[] = [];
  socket.addEventListener('pong', (event) => void pongs.push(String(Buffer.from((event as MessageEvent).data))));
  socket.ping(encodeText('there?'));
  expect(read().said).toEqual([{ opcode: 9, bytes: encodeText('there?') }]);
  tell(encodeWsPiece({ opcode: 10, more: false, bytes: encodeText('there?') }));
  expect(pongs).toEqual(['there?']);
});

test('a close goes out as it was said; an end without one is 1006', async () => {
  const closing = await asked();
  closing.accept();
  closing.socket.close(4999, 'x'.repeat(123));
  const [close] = closing.read().said;
  expect(decodeWsClose(close!.bytes)).toEqual({ code: 4999, reason: 'x'.repeat(123) });
  closing.tell(encodeWsClose({ code: 4999, reason: 'ok' }));
  expect(closing.heard).toEqual(['open', [4999, 'ok', true]]);
  const cut = await asked();
  cut.accept();
  cut.stream.receive(new Uint8Array(0), true);
  expect(cut.heard).toEqual(['open', [1006, '', false]]);
  const lost = await asked();
  lost.accept();
  lost.stream.abort(68, 'it closed the connection');
  expect(lost.heard).toEqual(['open', [1006, 'BACKEND_FAILED: it closed the connection', false]]);
});

const waiting = (): DeviceWebSocket => new DeviceWebSocket(() => new Promise(() => undefined), 'ws://wiki.corp/');

test.each([0, 999, 1001, 1005, 1006, 1015, 2999, 5000, Number.NaN])('close(%d) throws as in a browser', (code) => {
  const socket = waiting();
  expect(() => socket.close(code)).toThrow(expect.objectContaining({ name: 'InvalidAccessError' }));
  expect(socket.readyState).toBe(DeviceWebSocket.CONNECTING);
});

test('a reason of more than 123 bytes throws as in a browser, whatever its characters', () => {
  for (const reason of ['x'.repeat(124), 'é'.repeat(62), '\u{1f600}'.repeat(31)])
    expect(() => waiting().close(1000, reason)).toThrow(expect.objectContaining({ name: 'SyntaxError' }));
  expect(() => waiting().close(4999, 'x'.repeat(123))).not.toThrow();
});

test('who closes before it is open hears 1006, and closing again does nothing', () => {
  const socket = waiting();
  const codes: number[] = [];
  socket.onclose = ({ code }) => void codes.push(code);
  socket.close();
  socket.close(4000);
  expect(codes).toEqual([1006]);
  expect(socket.readyState).toBe(DeviceWebSocket.CLOSED);
});
