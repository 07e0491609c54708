import type { Credentials, Device } from '@sallyport/device';
import { rssMiB } from './workplace.ts';

/** What workloads run on. CPU time is that of everything the gateway needs: Proxy, Security and its database. */
export interface Workplace {
  readonly credentials: Credentials;
  readonly proxyPid: number;
  readonly securityPid: number;
  /** A new installation, not signed in. */
  enrolled(): Promise<Device>;
  signedIn(): Promise<Device>;
  needPassword(needed: boolean): Promise<void>;
  /** CPU time used so far, microseconds, in steps of 10 ms. */
  cpuMicros(): number;
  stop(): Promise<void>;
}

/** One measurement of one round. */
export interface Measured {
  readonly label?: string;
  readonly value: number;
  readonly unit: string;
  readonly note: string;
}

interface Workload {
  readonly name: string;
  /** True for what only a fresh process can show: measured in the first round, before everything else. */
  readonly firstRoundOnly?: boolean;
  measure(place: Workplace): Promise<readonly Measured[]>;
}

const MB = 1_000_000;
const TRANSFER_MB = 400;
const IDLE_CHANNELS = 2_000;

/** CPU microseconds of the gateway and wall milliseconds of some work. */
async function timed(place: Workplace, work: () => Promise<void>): Promise<{ cpuMicros: number; wallMs: number }> {
  const before = place.cpuMicros();
  const start = performance.now();
  await work();
  return { cpuMicros: place.cpuMicros() - before, wallMs: performance.now() - start };
}

async function getSmall(device: Device): Promise<void> {
  const response = await device.fetch('http://wiki.corp/small');
  const body = await response.arrayBuffer();
  if (response.status !== 200 || body.byteLength !== 1024)
    throw new Error(`a wrong answer: ${response.status}, ${body.byteLength} bytes`);
}

async function smallGets(place: Workplace, channels: number, total: number): Promise<readonly Measured[]> {
  const devices = await Promise.all(Array.from({ length: channels }, () => place.signedIn()));
  let left = total;
  const worker = async (device: Device): Promise<void> => {
    while (left-- > 0) await getSmall(device);
  };
  await Promise.all(devices.map((device) => getSmall(device)));
  const { cpuMicros, wallMs } = await timed(place, async () => void (await Promise.all(devices.map(worker))));
  for (const device of devices) device.close();
  return [
    {
      value: cpuMicros / total,
      unit: 'CPU µs per request',
      note: `${Math.round(total / (wallMs / 1000))} requests/s wall`,
    },
  ];
}

async function transfer(place: Workplace, direction: 'down' | 'up'): Promise<readonly Measured[]> {
  const device = await place.signedIn();
  const bytes = TRANSFER_MB * MB;
  const { cpuMicros, wallMs } = await timed(place, () =>
    direction === 'down' ? download(device, bytes) : upload(device, bytes),
  );
  device.close();
  const note = `${Math.round(TRANSFER_MB / (wallMs / 1000))} MB/s wall, Proxy at ${rssMiB(place.proxyPid).toFixed(0)} MiB`;
  return [{ value: TRANSFER_MB / (cpuMicros / MB), unit: 'MB per CPU-second', note }];
}

async function download(device: Device, bytes: number): Promise<void> {
  const response = await device.fetch(`http://wiki.corp/large/${bytes}`);
  let received = 0;
  for await (const part of response.body!) received += part.length;
  if (received !== bytes) throw new Error(`${received} of ${bytes} bytes arrived`);
}

async function upload(device: Device, bytes: number): Promise<void> {
  const part = new Uint8Array(MB);
  let left = bytes / MB;
  const body = new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(part);
      else controller.close();
    },
  });
  const response = await device.fetch('http://wiki.corp/upload', { method: 'POST', body });
  if ((await response.text()) !== 'ok') throw new Error('the upload failed');
}

async function logins(place: Workplace, withPassword: boolean): Promise<readonly Measured[]> {
  await place.needPassword(withPassword);
  const device = await place.enrolled();
  const count = 50;
  const { cpuMicros, wallMs } = await timed(place, async () => {
    for (let i = 0; i < count; i++) await device.login(withPassword ? place.credentials : undefined);
  });
  device.close();
  await place.needPassword(true);
  return [
    {
      value: cpuMicros / count / 1000,
      unit: 'CPU ms per login',
      note: `${(wallMs / count).toFixed(1)} ms wall, channel included`,
    },
  ];
}

async function reopening(place: Workplace): Promise<readonly Measured[]> {
  const device = await place.signedIn();
  const count = 200;
  const { cpuMicros, wallMs } = await timed(place, async () => {
    for (let i = 0; i < count; i++) {
      device.close();
      await device.resume();
    }
  });
  device.close();
  return [
    { value: cpuMicros / count / 1000, unit: 'CPU ms per channel', note: `${(wallMs / count).toFixed(1)} ms wall` },
  ];
}

async function idleChannels(place: Workplace): Promise<readonly Measured[]> {
  await place.needPassword(false);
  const before = rssMiB(place.proxyPid);
  const devices: Device[] = [];
  for (let i = 0; i < IDLE_CHANNELS; i += 50)
    devices.push(...(await Promise.all(Array.from({ length: 50 }, () => place.signedIn()))));
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const growth = rssMiB(place.proxyPid) - before;
  for (const device of devices) device.close();
  await place.needPassword(true);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  return [
    {
      value: (growth * 10_000) / IDLE_CHANNELS,
      unit: 'MiB per 10,000 idle channels',
      note: `scaled from ${IDLE_CHANNELS}, Proxy only`,
    },
  ];
}

/** All workloads by name. */
export const workloads: readonly Workload[] = [
  { name: 'idle channels', measure: idleChannels, firstRoundOnly: true },
  { name: 'get 1 KiB over 16 channels', measure: (place) => smallGets(place, 16, 8_000) },
  { name: 'get 1 KiB over 64 channels', measure: (place) => smallGets(place, 64, 8_000) },
  { name: 'download 400 MB', measure: (place) => transfer(place, 'down') },
  { name: 'upload 400 MB', measure: (place) => transfer(place, 'up') },
  { name: 'login with password', measure: (place) => logins(place, true) },
  { name: 'login without password', measure: (place) => logins(place, false) },
  { name: 'reopen a channel', measure: reopening },
];
