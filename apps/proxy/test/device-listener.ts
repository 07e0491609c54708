import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CertificatePair } from '@sallyport/certificates';
import { nodeCrypto } from '@sallyport/channel/node';
import type { Log } from '@sallyport/telemetry';
import { createDeviceListener } from '../src/app.ts';
import { SocketAdmission } from '../src/device/admission.ts';

/** A listener for devices as the Proxy builds it, with that certificate and nothing behind it. */
export async function deviceListener(log: Log, tls: CertificatePair): Promise<{ listener: Server; port: number }> {
  const places = { maxSockets: 80, socketsPerAddress: 80, hellosPerAddress: 10, opensPerSession: 5 };
  const listener = createDeviceListener({
    serving: { log } as never,
    channels: { stopping: false } as never,
    siteMap: { get: async () => ({ siteMap: 'x', rootKey: '' }), seq: undefined },
    admission: new SocketAdmission(places, { met: () => undefined }),
    installPages: {} as never,
    crypto: nodeCrypto(),
    trustedHops: 0,
    maxSockets: 80,
    tls,
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return { listener, port: (listener.address() as AddressInfo).port };
}
