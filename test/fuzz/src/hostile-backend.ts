import { createHash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { type Backend, listening } from './backends.ts';
import type { Random } from './random.ts';

const ANSWERS: readonly string[] = [
  'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n1;ext=1\r\ny\r\n0\r\ntrailer: 1\r\n\r\n',
  'HTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
  'HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nuntil the end',
  'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!',
  'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen',
  'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n',
];
const REASON_BYTES = 123;
const CONTROL_BYTES = 125;
const OPCODES = {
  more: 0x00,
  text: 0x81,
  firstText: 0x01,
  binary: 0x82,
  last: 0x80,
  close: 0x88,
  ping: 0x89,
  pong: 0x8a,
};

/** Answers whatever comes with what a server never should; on WebSockets it mostly keeps to the rules, and to their edges. */
export async function hostileBackend(random: Random): Promise<Backend> {
  const server = createServer((socket) => {
    let upgraded = false;
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => {
      if (upgraded) return talkBadly(random, socket);
      const key = /sec-websocket-key: (\S+)/i.exec(bytes.toString('latin1'))?.[1];
      upgraded = key !== undefined;
      if (key === undefined) answerBadly(random, socket);
      else accept(random, socket, key);
    });
  });
  return { url: await listening(server, 'http'), close: () => server.close() };
}

function answerBadly(random: Random, socket: Socket): void {
  socket.write(random.maybe(Buffer.from(random.pick(ANSWERS))));
  endBadly(random, socket);
}

/** Most are accepted as they should be, and kept: what is said on them gets through to the device. */
function accept(random: Random, socket: Socket, key: string): void {
  const answer = Buffer.from(accepted(key));
  socket.write(random.chance(0.9) ? answer : random.mutated(answer));
  if (random.chance(0.5)) socket.write(webSocketFrames(random));
  if (random.chance(0.1)) endBadly(random, socket);
}

function talkBadly(random: Random, socket: Socket): void {
  socket.write(webSocketFrames(random));
  if (random.chance(0.03)) endBadly(random, socket);
}

function endBadly(random: Random, socket: Socket): void {
  const ending = random.below(4);
  if (ending === 0) socket.end();
  if (ending === 1) socket.destroy();
  if (ending === 2) setTimeout(() => socket.destroy(), 50);
}

function accepted(key: string): string {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`;
}

function webSocketFrames(random: Random): Buffer {
  const frames = Array.from({ length: random.below(4) }, () => rightFrame(random));
  const all = Buffer.concat(frames);
  if (random.chance(0.92)) return all;
  return random.chance(0.5) ? random.mutated(all) : Buffer.concat([all, oddFrame(random)]);
}

/** A frame, or some, that a server may send. */
function rightFrame(random: Random): Buffer {
  const choice = random.below(20);
  if (choice === 0) return frame(OPCODES.close, closing(random));
  if (choice < 3) return frame(random.pick([OPCODES.ping, OPCODES.pong]), random.bytes(random.size(CONTROL_BYTES)));
  if (choice < 6) return frame(OPCODES.binary, random.bytes(random.size(3_000)));
  if (choice < 9) return inFragments(random);
  return frame(OPCODES.text, text(random, 1_000));
}

/** A code, and a reason that is most often as long as it may be, or shorter by little. */
function closing(random: Random): Buffer {
  const code = random.pick([1000, 1001, 1002, 1003, 1008, 1011, 1012, 1014, 3000, 4999]);
  const reason = text(random, REASON_BYTES);
  return random.chance(0.1) ? Buffer.alloc(0) : Buffer.concat([Buffer.of(code >> 8, code & 255), reason]);
}

function inFragments(random: Random): Buffer {
  const parts = Array.from({ length: random.below(4) }, () => frame(OPCODES.more, text(random, 200)));
  const ping = random.chance(0.3) ? [frame(OPCODES.ping, Buffer.alloc(0))] : [];
  return Buffer.concat([
    frame(OPCODES.firstText, text(random, 200)),
    ...parts,
    ...ping,
    frame(OPCODES.last, text(random, 200)),
  ]);
}

/** A frame that breaks a rule, or several. */
function oddFrame(random: Random): Buffer {
  const opcode = random.pick([0x88, 0x89, 0x8a, 0x01, 0x80, 0xff, 0x83, 0xc1, random.below(256)]);
  return frame(opcode, random.bytes(random.size(300)));
}

function text(random: Random, maxBytes: number): Buffer {
  const letter = Buffer.from(random.pick(['x', 'é', '☃']));
  return Buffer.alloc(Math.floor(random.size(maxBytes) / letter.length) * letter.length, letter);
}

function frame(opcode: number, content: Buffer): Buffer {
  const { length } = content;
  return Buffer.concat([
    Buffer.from(length < 126 ? [opcode, length] : [opcode, 126, length >> 8, length & 255]),
    content,
  ]);
}
