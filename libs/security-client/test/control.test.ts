import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { serverCrypto } from '@sallyport/channel/sodium';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { ControlConnection, type ControlListener, handshakePatienceMs, NodeList, processClocks } from '../src/index.ts';

test.each([
  [undefined, 1, 5_000],
  [undefined, 3, 5_000],
  [15_000, 1, 5_000],
  [15_000, 2, 3_750],
  [5_000, 3, 1_250],
  [2_000, 3, 1_000],
  [300_000, 3, 5_000],
])('with a lease of %s ms and %s nodes, one may take %s ms to take the connection', (leaseMs, nodes, patienceMs) => {
  expect(handshakePatienceMs({ leaseMs, nodes })).toBe(patienceMs);
});

/** A Proxy that serves nothing. */
const LISTENER: ControlListener = {
  apply: () => undefined,
  done: () => 0,
  channelCount: () => 0,
  anew: () => undefined,
  troubles: () => [],
  tryBackend: async () => ({ ok: true, detail: '', ms: 1 }),
  keep: () => undefined,
  served: () => ({ requests: 0, bytes: 0 }),
  siteDrained: () => undefined,
  renew: () => undefined,
  siteMap: () => undefined,
  trouble: () => undefined,
};

test('channels whose rights are read while no node is connected do not keep it from the next try', async () => {
  const security = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(security, 'listening');
  const connected = () => once(security, 'connection');
  const first = connected();
  const control = new ControlConnection({
    identity: { name: 'p1', site: 'here', realm: 'main', ca: '', certificate: '', key: '', urls: [] },
    nodes: new NodeList({ name: 'p1', urls: [`http://127.0.0.1:${(security.address() as AddressInfo).port}`] }),
    clocks: processClocks(),
    crypto: serverCrypto(),
    listener: LISTENER,
  });
  const [socket] = await first;
  const again = connected();
  const moving = setInterval(() => control.moved(), 5);
  onTestFinished(() => {
    clearInterval(moving);
    control.close();
    security.close();
  });
  socket.terminate();
  await again;
});
